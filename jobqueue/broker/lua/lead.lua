-- Takes or keeps the lead among the relays.
-- candidate: who asks; lease: milliseconds for which the lead is taken; 0 gives it up.
-- Returns 1 if the one who asks leads now.
local leader = call('GET', key.lead)
if lease == '0' then
  if leader == candidate then
    call('DEL', key.lead)
  end
  return 0
end
if leader and leader ~= candidate then
  return 0
end
call('SET', key.lead, candidate, 'PX', lease)
return 1
