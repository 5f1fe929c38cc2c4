-- Leaves a foreign message in RQ's failed registry for good.
-- queue; id; reason: why it is not run, in a few words; text: the same for RQ's tools.
local job, aside = key.job .. id, store()
local is = aside.type_of(job)
-- Nothing is written over a key of another type that somebody put there.
if is == 'hash' or is == 'none' then
  call('HSET', job, 'status', 'failed', 'origin', queue, 'exc_info', text)
end
aside.note_message(queue, id, reason)
call('ZREM', key.foreign .. queue, id)
return 1
