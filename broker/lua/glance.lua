-- glance.lua: a hash and how far the stream was when it looked like that, in one step.
--
-- KEYS  stream, hash
--
-- Replies  {position of the last entry, "" when there is none; the hash}

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {last[1] and last[1][1] or '', redis.call('HGETALL', KEYS[2])}
