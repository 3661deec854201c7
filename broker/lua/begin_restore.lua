-- begin_restore.lua: mark a store as one that is being restored, if nobody lives in it.
--
-- KEYS  the server's events, the mark
-- ARGV  what the mark says
--
-- Replies  {"begun"}
--          {"taken"}: the server has a log, and it is not that of a restore which was left

if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('EXISTS', KEYS[2]) == 0 then return {'taken'} end
redis.call('SET', KEYS[2], ARGV[1])
return {'begun'}
