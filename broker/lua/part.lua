-- part.lua: some elements of a large row, and the position of the log at which they look like that.
--
-- KEYS  events, row
-- ARGV  the type the row should have, the command that reads, its arguments behind the key
--
-- Replies  {position of the last event, "" when there is none; what the command answered}
--          {position}: the row has another type, or is gone

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local position = last[1] and last[1][1] or ''
if redis.call('TYPE', KEYS[2]).ok ~= ARGV[1] then return {position} end
return {position, redis.call(ARGV[2], KEYS[2], unpack(ARGV, 3))}
