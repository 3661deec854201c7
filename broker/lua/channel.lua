-- channel.lua: append one entry to a channel of a process, if the sender may and the limits allow.
--
-- KEYS  channel, nonce (channel again when there is none), pace of the process, colony row,
--       member row, process row
-- ARGV  nonce lifetime in ms (0: the request carried none), digest of the request, colony guard,
--       member guard, sender, now in Unix ms, now in Unix ns, sequence, in reply to, type,
--       payload ("" for none), "1" when there is a payload, most entries, most bytes,
--       entries a second, entries at once, text of the notice, channel of notices
--
-- Replies  {"done"} | {"conflict"} | {"full"} | {"too fast"} | {"repeat", digest}
--
-- An entry's id is its place, <n>-0 from 1, so readers who page by place need not count.

local call, argv = redis.call, ARGV

local lifetime = tonumber(argv[1])
if lifetime > 0 then
  local first = call('GET', KEYS[2])
  if first then return {'repeat', first} end
end

if call('HGET', KEYS[4], 'guard') ~= argv[3] then return {'conflict'} end
if call('HGET', KEYS[5], 'guard') ~= argv[4] then return {'conflict'} end
local process = call('HMGET', KEYS[6], 'state', 'by', 'holder')
local running = process[1] == '1'
if not running and process[1] ~= '0' then return {'conflict'} end
if process[2] ~= argv[5] and not (running and process[3] == argv[5]) then return {'conflict'} end

local pace = call('HMGET', KEYS[3], 'left', 'at', 'bytes')
local rate, burst, now = tonumber(argv[15]), tonumber(argv[16]), tonumber(argv[6])
local left = tonumber(pace[1] or argv[16])
left = math.min(burst, left + math.max(0, now - tonumber(pace[2] or argv[6])) * rate / 1000)
if left < 1 then return {'too fast'} end

local entries, bytes = call('XLEN', KEYS[1]), tonumber(pace[3] or '0') + #argv[11]
if entries >= tonumber(argv[13]) or bytes > tonumber(argv[14]) then return {'full'} end

call('XADD', KEYS[1], string.format('%d-0', entries + 1), 's', argv[8], 'r', argv[9],
  'at', argv[7], 'by', argv[5], 'type', argv[10], 'p', argv[11], 'given', argv[12])
call('HSET', KEYS[3], 'left', string.format('%.3f', left - 1), 'at', argv[6],
  'bytes', string.format('%.0f', bytes))
if lifetime > 0 then call('SET', KEYS[2], argv[2], 'PX', lifetime) end
call('PUBLISH', argv[18], argv[17])
return {'done'}
