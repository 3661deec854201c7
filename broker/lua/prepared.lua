-- prepared.lua: append.lua for one event of a known form. All expectations hold, or nothing is
-- written.
--
-- What append.lua is told with every call stands here in the text: broker/prepared.py puts the
-- tests of the expectations, the fold's event and writes and the notice where the marks are.
--
-- KEYS  events, nonce (events again when there is none), one key per expectation, those written
-- ARGV  nonce lifetime in ms (0: the request carried none), digest of the request,
--       what the event is signed with, the values of the expectations, those of the event,
--       the channel and the text of the notice if there is one
--
-- Replies as append.lua

local call, argv = redis.call, ARGV

local lifetime = tonumber(argv[1])
if lifetime > 0 then
  local first = call('GET', KEYS[2])
  if first then return {'repeat', first} end
end

local failed
--[[expectations]]
if failed then
  local name, row = KEYS[failed + 2], {}
  -- only here: the bench counts conflicts by this command
  if call('TYPE', name).ok == 'hash' then row = call('HGETALL', name) end
  return {'conflict', failed - 1, row}
end

local position = call('XADD', KEYS[1], '*', --[[event]])
--[[writes]]

if lifetime > 0 then call('SET', KEYS[2], argv[2] .. position, 'PX', lifetime) end
--[[notice]]

return {'done', position}
