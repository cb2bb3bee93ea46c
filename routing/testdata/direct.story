|   a-1 --1-- b-1 ==> *.org by smart host, also leads to c behind it
|                \
|                 (smart host) -- c-1
server a-1 a
server b-1 b
server c-1 c
rgc ab a b 1 local=a-1 remote=b-1
rgc ba b a 1 local=b-1 remote=a-1
smtp org b local=b-1 space=SMTP:*.org to=c;7
self a-1
direct
ask address SMTP example.com
ask address X400 c=us
ask address SMTP debian.org
ask server c-1
ask server c-1 from=b-1
# A star somewhere in scope: nothing goes past it.
smtp star b local=b-1 space=SMTP:* size=10
ask address SMTP example.com size=5
ask address SMTP example.com size=50
set star disabled
ask address SMTP example.com
