-- project.lua: the writes of a batch and the checkpoint behind it, in one step.
--
-- KEYS  checkpoint, events, one key per write
-- ARGV  the checkpoint the batch started from ("" for none), the position it ends at,
--       number of writes, then for each: command, number of arguments, arguments
--       channel on which progress is told
--
-- Replies  {"done"}
--          {"fenced", the checkpoint as it is}: another projector was here, or the log was deleted, and
--          nothing may be left of it; nothing was written

local call, argv = redis.call, ARGV

local current = call('GET', KEYS[1]) or ''
if current ~= argv[1] then return {'fenced', current} end
if call('EXISTS', KEYS[2]) == 0 then return {'fenced', current} end

local at = 4
for index = 3, tonumber(argv[3]) + 2 do
  local last = at + 1 + tonumber(argv[at + 1])
  call(argv[at], KEYS[index], unpack(argv, at + 2, last))
  at = last + 1
end
call('SET', KEYS[1], argv[2])
call('PUBLISH', argv[at], argv[2])
return {'done'}
