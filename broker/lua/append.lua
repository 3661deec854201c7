-- append.lua: the one guarded step. All expectations hold, or nothing is written.
--
-- KEYS  events, nonce (events again when there is none), one key per expectation, one key per write
-- ARGV  nonce lifetime in ms (0: the request carried none), digest of the request
--       number of expectations, then for each: kind, field, value
--       number of events, then for each: type, v, subject, actor, at, cause, signed, body
--       number of writes, then for each: command, number of arguments, arguments
--       number of notices, then for each: channel, text
--
-- Replies  {"done", position of the last event}
--          {"conflict", index of the failed expectation from 0, its hash as field, value, ...}
--          {"repeat", digest and last position of the first request with this nonce}

local at = 1
local function take()
  local value = ARGV[at]
  at = at + 1
  return value
end

local lifetime, digest = tonumber(take()), take()
if lifetime > 0 then
  local first = redis.call('GET', KEYS[2])
  if first then return {'repeat', first} end
end

local holds = {
  equals = function(key, field, value) return redis.call('HGET', key, field) == value end,
  lacks = function(key, field) return redis.call('HEXISTS', key, field) == 0 end,
  has = function(key, field) return redis.call('HEXISTS', key, field) == 1 end,
  absent = function(key) return redis.call('EXISTS', key) == 0 end,
  counts = function(key, _, value) return redis.call('SCARD', key) == tonumber(value) end,
}

local key = 3
for index = 0, tonumber(take()) - 1 do
  local kind, field, value = take(), take(), take()
  if not holds[kind](KEYS[key], field, value) then
    local row = {}
    if redis.call('TYPE', KEYS[key]).ok == 'hash' then row = redis.call('HGETALL', KEYS[key]) end
    return {'conflict', index, row}
  end
  key = key + 1
end

local position = ''
for _ = 1, tonumber(take()) do
  position = redis.call('XADD', KEYS[1], '*',
    'type', take(), 'v', take(), 'subject', take(), 'actor', take(),
    'at', take(), 'cause', take(), 'signed', take(), 'body', take())
end

for _ = 1, tonumber(take()) do
  local command, count = take(), tonumber(take())
  redis.call(command, KEYS[key], unpack(ARGV, at, at + count - 1))
  at = at + count
  key = key + 1
end

if lifetime > 0 then redis.call('SET', KEYS[2], digest .. position, 'PX', lifetime) end

for _ = 1, tonumber(take()) do redis.call('PUBLISH', take(), take()) end

return {'done', position}
