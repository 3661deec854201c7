-- restore.lua: append events where they once were, with the writes that they fold into, in one step.
--
-- KEYS  events, one key per write
-- ARGV  position of the last event that is there ("" for none)
--       number of events, then for each: position, type, v, subject, actor, at, cause, signed, body
--       number of writes, then for each: command, number of arguments, arguments
--
-- Replies  {"done"}
--          {"other", position of the last event that is there}: nothing was written

local call, argv = redis.call, ARGV

local last = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local before = last and last[1] or ''
if before ~= argv[1] then return {'other', before} end

local at = 3
for _ = 1, tonumber(argv[2]) do
  call('XADD', KEYS[1], argv[at],
    'type', argv[at + 1], 'v', argv[at + 2], 'subject', argv[at + 3], 'actor', argv[at + 4],
    'at', argv[at + 5], 'cause', argv[at + 6], 'signed', argv[at + 7], 'body', argv[at + 8])
  at = at + 9
end

local writes = tonumber(argv[at])
at = at + 1
for key = 2, writes + 1 do
  local args = at + 1 + tonumber(argv[at + 1])
  call(argv[at], KEYS[key], unpack(argv, at + 2, args))
  at = args + 1
end
return {'done'}
