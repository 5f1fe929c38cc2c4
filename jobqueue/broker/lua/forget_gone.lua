-- Forgets the notes of messages that are not in quarantine any more.
-- most: how many notes are looked at, at random.
-- Returns how many were forgotten.
local KIND = 'message'
local names = key.aside_names .. KIND
local gone = 0
if call('ZCARD', names) > 0 then
  local aside = store()
  for _, name in ipairs(call('ZRANDMEMBER', names, most)) do
    local about = aside.read(KIND, name)
    if about and about.id and not call('ZSCORE', key.failed .. about.queue, about.id) then
      aside.forget(KIND, name)
      gone = gone + 1
    end
  end
end
return gone
