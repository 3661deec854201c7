-- restore_lines.lua: put log lines where they once were, and into the indexes, in one step.
--
-- KEYS  logs, state of the log
-- ARGV  key prefix, time of the last line that is there ("" for none), bytes that a line is counted
--       with besides its text, then for each line: its time, process id (32 bytes or none), name of
--       the executor, text
--
-- Replies  {"done"}
--          {"other", time of the last line that is there}: nothing was written

local call, argv = redis.call, ARGV

local function hex(bytes)
  return (string.gsub(bytes, '.', function(c) return string.format('%02x', string.byte(c)) end))
end

local last = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local before = last and last[1] or ''
if before ~= argv[2] then return {'other', before} end

local bytes = 0
for at = 4, #argv, 4 do
  local ms, ns = string.match(argv[at], '^(%d+)-(%d+)$')
  local time = ms .. string.format('%06d', ns)
  call('XADD', KEYS[1], argv[at], 'p', argv[at + 1], 'e', argv[at + 2], 'm', argv[at + 3])
  call('RPUSH', argv[1] .. 'le:' .. argv[at + 2], time)
  if argv[at + 1] ~= '' then call('RPUSH', argv[1] .. 'lp:' .. hex(argv[at + 1]), time) end
  bytes = bytes + #argv[at + 3] + tonumber(argv[3])
end
call('HINCRBY', KEYS[2], 'bytes', string.format('%.0f', bytes))
return {'done'}
