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

local at = 1
local function take()
  local value = ARGV[at]
  at = at + 1
  return value
end

local before, after = take(), take()
local current = redis.call('GET', KEYS[1]) or ''
if current ~= before then return {'fenced', current} end
if redis.call('EXISTS', KEYS[2]) == 0 then return {'fenced', current} end

for index = 3, tonumber(take()) + 2 do
  local command, count = take(), tonumber(take())
  redis.call(command, KEYS[index], unpack(ARGV, at, at + count - 1))
  at = at + count
end
redis.call('SET', KEYS[1], after)
redis.call('PUBLISH', take(), after)
return {'done'}
