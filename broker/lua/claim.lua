-- claim.lua: give the first waiting process of the given classes to an executor.
--
-- The only decision made in Lua, because a thousand executors want the same head. What it writes
-- is not its own: broker/claiming.py puts the fold's events and writes where the marks stand,
-- with the variables below in the places of what is known only here.
--
-- KEYS  events, nonce (events again when there is none), colony row, member row, classes,
--       then the queues of the classes, and what may be written besides as far as that is known
-- ARGV  nonce lifetime in ms (0: none), digest of the request, key prefix, colony guard,
--       member guard, class epoch, the executor's id, now as Unix ns, us and ms, digest and
--       signature of the request with its text where that is kept, number of classes, the classes
--
-- Replies  {"done", position, process id, its row as field, value, ...}
--          {"empty"} | {"paused"} | {"conflict", what changed: colony, member or classes}
--          {"repeat", digest and position}

local call, argv = redis.call, ARGV

local lifetime = tonumber(argv[1])
if lifetime > 0 then
  local first = call('GET', KEYS[2])
  if first then return {'repeat', first} end
end

local prefix = argv[3]
local colony = call('HMGET', KEYS[3], 'guard', 'paused')
if colony[1] ~= argv[4] then return {'conflict', 'colony'} end
if call('HGET', KEYS[4], 'guard') ~= argv[5] then return {'conflict', 'member'} end
if (call('HGET', KEYS[5], 'epoch') or '0') ~= argv[6] then return {'conflict', 'classes'} end
if colony[2] == '1' then return {'paused'} end

local member, class
for index = 1, tonumber(argv[12]) do
  local head = call('ZRANGE', KEYS[5 + index], 0, 0)[1]
  if head and (not member or head < member) then
    member, class = head, argv[12 + index]
  end
end
if not member then return {'empty'} end

local actor, at, us, ms, signed = argv[7], argv[8], argv[9], argv[10], argv[11]
local id = string.sub(member, 21)
local row = prefix .. 'p:' .. id

-- These two follow from the head, so they are not declared: while a cluster moves this slot it may
-- refuse them. They are read before anything is written, and that is refused as a whole.
local found, begun = redis.pcall('HMGET', row, 'max_exec', 'graph'), nil
if found.err then return redis.error_reply('TRYAGAIN ' .. found.err) end
local seconds, graph = tonumber(found[1] or '0'), found[2]
if graph then
  begun = redis.pcall('HMGET', prefix .. 'w:' .. graph, 'state', 'at')
  if begun.err then return redis.error_reply('TRYAGAIN ' .. begun.err) end
end
local exec = string.format('%010.0f', seconds)

local position = call('XADD', KEYS[1], '*', --[[event]])
--[[writes]]
if seconds > 0 then
  local due = string.format('%.0f', tonumber(ms) + seconds * 1000)
  --[[deadline]]
end

if begun and begun[1] == '0' then
  local since = string.sub(begun[2], 1, 16)
  call('XADD', KEYS[1], '*', --[[event: started]])
  --[[writes: started]]
end

if lifetime > 0 then call('SET', KEYS[2], argv[2] .. position, 'PX', lifetime) end
return {'done', position, id, call('HGETALL', row)}
