-- begin_build.lua: which build of an async projection is served, and which is to be built.
--
-- KEYS  builds
-- ARGV  the projection and its version
--
-- Replies  {number of the build that is served, number of the one that is being built}

local served = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
local coming = redis.call('HGET', KEYS[1], ARGV[1] .. ':next')
if not coming then
  coming = tostring(tonumber(served) + 1)
  redis.call('HSET', KEYS[1], ARGV[1] .. ':next', coming)
end
return {served, coming}
