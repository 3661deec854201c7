-- switch_build.lua: serve another build of an async projection, once it is as far as the old one.
--
-- KEYS  builds, checkpoint of the build that is served, checkpoint of the new one
-- ARGV  the projection and its version, number of the old build, of the new one,
--       checkpoint that keeps projectors from the old one, channel on which progress is told
--
-- Replies  {"done"}
--          {"behind"}: the new build has not caught up
--          {"other"}: somebody else switched

local builds = KEYS[1]
local served = redis.call('HGET', builds, ARGV[1]) or '0'
local coming = redis.call('HGET', builds, ARGV[1] .. ':next')
if served ~= ARGV[2] or coming ~= ARGV[3] then return {'other'} end

local function parts(position)
  local ms, seq = string.match(position or '0-0', '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local old_ms, old_seq = parts(redis.call('GET', KEYS[2]) or nil)
local new_ms, new_seq = parts(redis.call('GET', KEYS[3]) or nil)
if new_ms < old_ms or (new_ms == old_ms and new_seq < old_seq) then return {'behind'} end

redis.call('HSET', builds, ARGV[1], ARGV[3])
redis.call('HDEL', builds, ARGV[1] .. ':next')
redis.call('SET', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[4])
return {'done'}
