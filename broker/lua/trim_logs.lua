-- trim_logs.lua: forget the oldest lines of a colony's log, with their places in the indexes.
--
-- KEYS  logs, state of the log
-- ARGV  key prefix, Unix ms before which lines are too old, bytes the log may have,
--       bytes that a line is counted with besides its text, how many lines to look at,
--       position of the last line that may be forgotten ("" without such)
--
-- Replies  the number of lines forgotten. Both indexes of a line are in the order of the log, so the
-- oldest line is the first of each.

local call, argv = redis.call, ARGV

local function hex(bytes)
  return (string.gsub(bytes, '.', function(c) return string.format('%02x', string.byte(c)) end))
end

local bytes = tonumber(call('HGET', KEYS[2], 'bytes') or '0')
local before, most, each = tonumber(argv[2]), tonumber(argv[3]), tonumber(argv[4])

local until_ms, until_ns = string.match(argv[6], '^(%d+)-(%d+)$')
until_ms, until_ns = tonumber(until_ms), tonumber(until_ns)
local function is_beyond(id)
  if not until_ms then return false end
  local ms, ns = string.match(id, '^(%d+)-(%d+)$')
  ms, ns = tonumber(ms), tonumber(ns)
  return ms > until_ms or (ms == until_ms and ns > until_ns)
end

local forgotten, last = 0, nil
for _, entry in ipairs(call('XRANGE', KEYS[1], '-', '+', 'COUNT', argv[5])) do
  local id, values = entry[1], entry[2]
  if tonumber(string.match(id, '^%d+')) >= before and bytes <= most then break end
  if is_beyond(id) then break end
  if values[2] ~= '' then call('LPOP', argv[1] .. 'lp:' .. hex(values[2])) end
  call('LPOP', argv[1] .. 'le:' .. values[4])
  bytes = bytes - #values[6] - each
  forgotten, last = forgotten + 1, id
end
if last then
  local ms, ns = string.match(last, '^(%d+)-(%d+)$')
  call('XTRIM', KEYS[1], 'MINID', '=', ms .. '-' .. string.format('%d', tonumber(ns) + 1))
  call('HSET', KEYS[2], 'bytes', string.format('%.0f', bytes))
end
return forgotten
