-- append.lua: the one guarded step. All expectations hold, or nothing is written.
--
-- KEYS  events, nonce (events again when there is none), one key per expectation, one per write
-- ARGV  nonce lifetime in ms (0: the request carried none), digest of the request
--       number of expectations, then for each: its kind and what that takes: a field and a value
--       (equals, above, below), a field (has, lacks), a member (listed), a number (counts), nothing
--       (absent), or the number of fields, the fields, their values (matches)
--       number of events, then for each: type, v, subject, actor, at, cause, signed, body
--       number of writes, then for each: command, number of arguments, arguments
--       number of notices, then for each: channel, text
--
-- Replies  {"done", position of the last event}
--          {"conflict", index of the failed expectation from 0, its hash as field, value, ...}
--          {"repeat", digest and last position of the first request with this nonce}
--
-- Written without closures: Redis runs nothing else meanwhile, and they cost a sixth of it.

local call, argv = redis.call, ARGV

local lifetime = tonumber(argv[1])
if lifetime > 0 then
  local first = call('GET', KEYS[2])
  if first then return {'repeat', first} end
end

local key, at = 3, 4
for index = 0, tonumber(argv[3]) - 1 do
  local kind, name, holds = argv[at], KEYS[key], nil
  if kind == 'equals' then
    holds = call('HGET', name, argv[at + 1]) == argv[at + 2]
    at = at + 3
  elseif kind == 'matches' then
    local fields = tonumber(argv[at + 1])
    local found = call('HMGET', name, unpack(argv, at + 2, at + 1 + fields))
    holds, at = true, at + 1 + fields
    for field = 1, fields do holds = holds and found[field] == argv[at + field] end
    at = at + fields + 1
  elseif kind == 'has' then
    holds = call('HEXISTS', name, argv[at + 1]) == 1
    at = at + 2
  elseif kind == 'lacks' then
    holds = call('HEXISTS', name, argv[at + 1]) == 0
    at = at + 2
  elseif kind == 'above' then
    local counted = call('HGET', name, argv[at + 1])
    holds = counted ~= false and tonumber(counted) > tonumber(argv[at + 2])
    at = at + 3
  elseif kind == 'below' then
    local counted = call('HGET', name, argv[at + 1])
    holds = counted ~= false and tonumber(counted) < tonumber(argv[at + 2])
    at = at + 3
  elseif kind == 'absent' then
    holds = call('EXISTS', name) == 0
    at = at + 1
  elseif kind == 'listed' then
    holds = call('ZSCORE', name, argv[at + 1]) ~= false
    at = at + 2
  elseif kind == 'counts' then
    holds = call('SCARD', name) == tonumber(argv[at + 1])
    at = at + 2
  end
  if holds == nil then return redis.error_reply('ERR append.lua knows no expectation ' .. kind) end
  if not holds then
    local row = {}
    -- only here: the bench counts conflicts by this command
    if call('TYPE', name).ok == 'hash' then row = call('HGETALL', name) end
    return {'conflict', index, row}
  end
  key = key + 1
end

local position, events = '', tonumber(argv[at])
at = at + 1
for _ = 1, events do
  position = call('XADD', KEYS[1], '*',
    'type', argv[at], 'v', argv[at + 1], 'subject', argv[at + 2], 'actor', argv[at + 3],
    'at', argv[at + 4], 'cause', argv[at + 5], 'signed', argv[at + 6], 'body', argv[at + 7])
  at = at + 8
end

local writes = tonumber(argv[at])
at = at + 1
for _ = 1, writes do
  local last = at + 1 + tonumber(argv[at + 1])
  call(argv[at], KEYS[key], unpack(argv, at + 2, last))
  key, at = key + 1, last + 1
end

if lifetime > 0 then call('SET', KEYS[2], argv[2] .. position, 'PX', lifetime) end

for notice = at + 1, at + 2 * tonumber(argv[at]), 2 do
  call('PUBLISH', argv[notice], argv[notice + 1])
end

return {'done', position}
