-- cut.lua: some rows, and the position of the log at which they look like that, in one step.
--
-- KEYS  events, rows
-- ARGV  how many elements a row may have that is answered whole
--
-- Replies  {position of the last event, "" when there is none,
--           then for each row: its type, how many elements it has, all of them or nothing}

local call = redis.call
local sizes = {hash = 'HLEN', zset = 'ZCARD', set = 'SCARD', list = 'LLEN'}
local reads = {
  hash = {'HGETALL'}, zset = {'ZRANGE', 0, -1, 'WITHSCORES'}, set = {'SMEMBERS'}, list = {'LRANGE', 0, -1},
}

local last = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local reply, most = {last[1] and last[1][1] or ''}, tonumber(ARGV[1])
for index = 2, #KEYS do
  local name = KEYS[index]
  local kind = call('TYPE', name).ok
  local size, found = 0, {}
  if sizes[kind] then
    size = call(sizes[kind], name)
    if size <= most then
      local read = reads[kind]
      found = call(read[1], name, unpack(read, 2))
    end
  end
  reply[#reply + 1] = kind
  reply[#reply + 1] = size
  reply[#reply + 1] = found
end
return reply
