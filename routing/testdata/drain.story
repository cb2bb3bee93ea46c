# Taking things out of use without losing mail.
|   a-1, a-2 --10-- b-1
|     |  \___50_______/      (dear)
|     +--> *;1   (near)     b-1 --> *;1 (far)
server a-1 a
server a-2 a
server b-1 b
rgc ab a b 10 local=a-1 remote=b-1
rgc dear a b 50 local=a-2 remote=b-1
smtp near a local=a-1 space=SMTP:*;1
smtp far b local=b-1 space=SMTP:*;1
self a-1

ask server b-1
# Softly: a connector that is drained is dearer than any that is not.
set ab drain=soft
ask server b-1
set dear disabled
ask server b-1
set dear disabled=no
# Hard: nobody sends new mail over it. Its own bridgehead, which may hold some,
# still has it as the last resort; another server waits.
set ab drain=hard
ask server b-1
ask server b-1 from=a-2
set dear disabled
ask server b-1
ask server b-1 from=a-2
set dear disabled=no
set ab drain=no
# The same outside.
set near drain=soft
ask address SMTP example.com
set near drain=hard
ask address SMTP example.com
ask address SMTP example.com from=a-2
set far disabled
ask address SMTP example.com
ask address SMTP example.com from=a-2
set near drain=no
# A server: softly it is the last choice, hard none, not even as a bridgehead; what
# it holds itself leaves, and what is for its own mailboxes arrives.
set a-1 drain=soft
ask address SMTP example.com from=a-2
set a-1 drain=hard
ask address SMTP example.com from=a-2
ask address SMTP example.com
ask server a-1 from=a-2
