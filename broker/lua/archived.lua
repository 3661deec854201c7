-- archived.lua: mark how far a log was archived. A mark never goes back, and none is left of a log
-- that was deleted meanwhile.
--
-- KEYS  marks of the colony, the stream of the log
-- ARGV  name of the log, the position
--
-- Replies  1 when the mark was set, 0 when it was there already, or there is no such log

if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end

local function parts(position)
  local ms, seq = string.match(position or '0-0', '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local old_ms, old_seq = parts(redis.call('HGET', KEYS[1], ARGV[1]) or nil)
local new_ms, new_seq = parts(ARGV[2])
if new_ms < old_ms or (new_ms == old_ms and new_seq <= old_seq) then return 0 end

redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
