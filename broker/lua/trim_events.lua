-- trim_events.lua: remove the oldest events of a log, and mark up to where they are gone, in one step.
--
-- KEYS  events, marks of the colony
-- ARGV  position of the last event that may be removed, how many to look at
--
-- Replies  the number of events removed. Whole nodes of the stream go at a time, so a few that might be
-- removed may stay. The last event always does: by its position everybody knows where the log ends.

local call = redis.call

local last = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return 0 end

local function parts(position)
  local ms, seq = string.match(position, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local until_ms, until_seq = parts(ARGV[1])
local last_ms, last_seq = parts(last[1])
local least = string.format('%.0f-%.0f', until_ms, until_seq + 1)
if last_ms < until_ms or (last_ms == until_ms and last_seq <= until_seq) then least = last[1] end

local removed = call('XTRIM', KEYS[1], 'MINID', '~', least, 'LIMIT', ARGV[2])
if removed > 0 then
  local ms, seq = parts(call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1])
  local gone = string.format('%.0f-%.0f', ms, seq - 1)
  if seq == 0 then gone = string.format('%.0f', ms - 1) .. '-9007199254740992' end
  if ms > until_ms or (ms == until_ms and seq > until_seq) then gone = ARGV[1] end
  call('HSET', KEYS[2], 'trimmed', gone)
end
return removed
