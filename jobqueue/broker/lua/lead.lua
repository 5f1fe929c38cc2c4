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
  -- A lead that would last much longer than one is taken for is none of ours.
  local left = redis.call('PTTL', key.lead)
  if left >= 0 and left <= 20 * tonumber(lease) then
    return 0
  end
  store().set_aside(key.lead, 'the job queue did not write it, it would never end')
end
call('SET', key.lead, candidate, 'PX', lease)
return 1
