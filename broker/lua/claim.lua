-- claim.lua: give the first waiting process of the given classes to an executor.
--
-- The only decision made in Lua, because a thousand executors want the same head. What it writes
-- is not its own: event and writes are the fold's, as templates (broker/claiming.py) in which
-- <actor>, <at>, <us>, <ms> stand for what the caller says and <id>, <member>, <class>, <exec>,
-- <due> for what is found here. Those in the packed body have fixed widths, so it stays
-- well-formed: member 84, class 16, exec 10 digits.
--
-- KEYS  events, nonce, colony row, member row, classes, then the queues of the classes
-- ARGV  nonce lifetime in ms (0: none), digest of the request, key prefix, colony guard, class epoch,
--       the executor's id, now as Unix ns, μs and ms, digest and signature of the request,
--       number of classes, the classes,
--       event template: type, v, body
--       number of writes, then for each: command, key within the colony, number of arguments, arguments
--       the same for the writes that only a process with an execution deadline needs
--
-- Replies  {"done", position, process id, its row as field, value, ...}
--          {"empty"} | {"paused"} | {"conflict", what changed: colony, member or classes}
--          {"repeat", digest and position}

local at = 1
local function take()
  local value = ARGV[at]
  at = at + 1
  return value
end

local lifetime, digest = tonumber(take()), take()
if lifetime > 0 then
  local first = redis.call('GET', KEYS[2])
  if first then return {'repeat', first} end
end

local prefix = take()
if redis.call('HGET', KEYS[3], 'guard') ~= take() then return {'conflict', 'colony'} end
if redis.call('HGET', KEYS[4], 'state') ~= '1' then return {'conflict', 'member'} end
if (redis.call('HGET', KEYS[5], 'epoch') or '0') ~= take() then return {'conflict', 'classes'} end
if redis.call('HGET', KEYS[3], 'paused') == '1' then return {'paused'} end
local found = { actor = take(), at = take(), us = take(), ms = take() }
local signed = take()

local member, class
for index = 1, tonumber(take()) do
  local name = take()
  local head = redis.call('ZRANGE', KEYS[5 + index], 0, 0)[1]
  if head and (not member or head < member) then
    member, class = head, name
  end
end
if not member then return {'empty'} end

local id = string.sub(member, 21)
local row = prefix .. 'p:' .. id
local exec = tonumber(redis.call('HGET', row, 'max_exec') or '0')
found.id, found.member, found.class = id, member, class
found.exec = string.format('%010.0f', exec)
found.due = string.format('%.0f', tonumber(found.ms) + exec * 1000)
local function fill(text) return (string.gsub(text, '<(%l+)>', found)) end

local position = redis.call('XADD', KEYS[1], '*',
  'type', take(), 'v', take(), 'subject', id, 'actor', found.actor,
  'at', found.at, 'cause', '', 'signed', signed, 'body', fill(take()))

local function apply()
  for _ = 1, tonumber(take()) do
    local command, key, count = take(), fill(take()), tonumber(take())
    local args = {}
    for n = 1, count do args[n] = fill(take()) end
    redis.call(command, prefix .. key, unpack(args))
  end
end
apply()
if exec > 0 then apply() end

if lifetime > 0 then redis.call('SET', KEYS[2], digest .. position, 'PX', lifetime) end
return {'done', position, id, redis.call('HGETALL', row)}
