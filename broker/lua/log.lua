-- log.lua: put lines of one executor into the log of a colony, in one step with all that allows it.
--
-- KEYS  logs, nonce (logs again when there is none), state of the log, colony row, member row,
--       process row (colony row again for lines of no process), index of the executor,
--       index of the process (index of the executor again for lines of no process)
-- ARGV  nonce lifetime in ms (0: the request carried none), digest of the request,
--       colony guard, member guard, holder of the process ("" for lines of no process),
--       now as Unix ms and the nanoseconds beyond them, process id (32 bytes or none),
--       name of the executor, bytes that a line is counted with besides its text, the lines
--
-- Replies  {"done"} | {"conflict"} | {"repeat", digest of the first request with this nonce}
--
-- A line's time is its place: entry <ms>-<ns beyond>, strictly later than the one before it, whatever
-- the clock says: the stream refuses a place that is not, and then the line takes the next one after
-- the last. Indexes are lists of such times, because eleven bytes a line are what they may cost.

local call, argv = redis.call, ARGV

local lifetime = tonumber(argv[1])
if lifetime > 0 then
  local first = call('GET', KEYS[2])
  if first then return {'repeat', first} end
end

if call('HGET', KEYS[4], 'guard') ~= argv[3] then return {'conflict'} end
if call('HGET', KEYS[5], 'guard') ~= argv[4] then return {'conflict'} end
if argv[5] ~= '' then
  local process = call('HMGET', KEYS[6], 'state', 'holder')
  if process[1] ~= '1' or process[2] ~= argv[5] then return {'conflict'} end
end

local ms, ns, bytes, times = argv[6], tonumber(argv[7]), 0, {}
for line = 11, #argv do
  if ns > 999999 then ms, ns = string.format('%.0f', ms + 1), 0 end
  local added = redis.pcall('XADD', KEYS[1], ms .. '-' .. ns,
    'p', argv[8], 'e', argv[9], 'm', argv[line])
  if type(added) == 'table' then
    local log = call('XINFO', 'STREAM', KEYS[1])
    for field = 1, #log, 2 do
      if log[field] == 'last-generated-id' then
        ms, ns = string.match(log[field + 1], '^(%d+)-(%d+)$')
      end
    end
    ns = ns + 1
    if ns > 999999 then ms, ns = string.format('%.0f', ms + 1), 0 end
    call('XADD', KEYS[1], ms .. '-' .. ns, 'p', argv[8], 'e', argv[9], 'm', argv[line])
  end
  times[line - 10] = ms .. string.format('%06d', ns)
  bytes = bytes + #argv[line] + argv[10]
  ns = ns + 1
end
call('RPUSH', KEYS[7], unpack(times))
if KEYS[8] ~= KEYS[7] then call('RPUSH', KEYS[8], unpack(times)) end

call('HINCRBY', KEYS[3], 'bytes', bytes)
if lifetime > 0 then call('SET', KEYS[2], argv[2], 'PX', lifetime) end
return {'done'}
