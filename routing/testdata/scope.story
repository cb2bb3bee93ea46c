# Three groups in a line, each with a way out; that of rg2 is for rg2 only. The
# original let rg2, in transit, choose its own connector for mail from rg1 that
# rg1 had meant for rg3: there a choice was not carried on. Here it travels.
|   rg1-1 --1-- rg2-1 --1-- rg3-1
|     |           |           |
|   *;100       *;1         *;1
|              scope rg2
server rg1-1 rg1
server rg2-1 rg2
server rg3-1 rg3
rgc rg1-rg2 rg1 rg2 1 local=rg1-1 remote=rg2-1
rgc rg2-rg1 rg2 rg1 1 local=rg2-1 remote=rg1-1
rgc rg2-rg3 rg2 rg3 1 local=rg2-1 remote=rg3-1
rgc rg3-rg2 rg3 rg2 1 local=rg3-1 remote=rg2-1
smtp out1 rg1 local=rg1-1 space=SMTP:*;100
smtp out2 rg2 local=rg2-1 space=SMTP:*;1 scope=group
smtp out3 rg3 local=rg3-1 space=SMTP:*;1
self rg1-1

# rg1 sees its own and that of rg3.
ask address SMTP example.com
# In transit rg2 keeps what rg1 chose.
ask address SMTP example.com from=rg2-1 connector=out3 visited=rg1,rg2
ask address SMTP example.com from=rg3-1 connector=out3 visited=rg1,rg2,rg3
# Mail that begins in rg2 takes its own connector; rg3 does not see that.
ask address SMTP example.com from=rg2-1
ask address SMTP example.com from=rg3-1
# The chosen one fails while the message is in rg2: rg2 chooses anew, and now its own scope counts.
set out3 down=rg3-1
ask address SMTP example.com from=rg2-1 connector=out3 visited=rg1,rg2
ask address SMTP example.com
