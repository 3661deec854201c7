-- project.lua: the writes of a batch and the checkpoint behind it, in one step.
--
-- KEYS  checkpoint, one key per write
-- ARGV  the checkpoint the batch started from ("" for none), the position it ends at,
--       number of writes, then for each: command, number of arguments, arguments
--       channel on which progress is told
--
-- Replies  {"done"}
--          {"fenced", the checkpoint as it is}: another projector was here, nothing was written

local at = 1
local function take()
  local value = ARGV[at]
  at = at + 1
  return value
end

local before, after = take(), take()
local current = redis.call('GET', KEYS[1]) or ''
if current ~= before then return {'fenced', current} end

for index = 2, tonumber(take()) + 1 do
  local command, count = take(), tonumber(take())
  redis.call(command, KEYS[index], unpack(ARGV, at, at + count - 1))
  at = at + count
end
redis.call('SET', KEYS[1], after)
redis.call('PUBLISH', take(), after)
return {'done'}
