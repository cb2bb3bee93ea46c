# Who may use a connector. Numbers stand for entries of the lists: 1 is the group
# "trainees", 2 the address boss@, 3 the domain @partner, 0 the null reverse path.
|   paris-1 --10-- oslo-1        rejects trainees
|      |   \
|      |    20 (slow, for all)
|      |      \
|      |      rome-1 --20-- oslo-1
|      +--> *;1     (costly: accepts boss and partners, not trainees)
|      +--> *.net;5 (net: rejects trainees and reports)
|      +--> FAX:*   (fax: accepts boss)
server paris-1 paris
server rome-1 rome
server oslo-1 oslo
rgc fast paris oslo 10 local=paris-1 remote=oslo-1 reject=1
rgc slow paris rome 20 local=paris-1 remote=rome-1
rgc on rome oslo 20 local=rome-1 remote=oslo-1
smtp costly paris local=paris-1 space=SMTP:*;1 accept=2,3 reject=1
smtp net paris local=paris-1 space=SMTP:*.net;5 reject=0,1
foreign fax paris local=paris-1 space=FAX:* accept=2
self paris-1

# Nobody in particular, then a trainee: the dear way. A restriction on a path
# does not make mail bounce while another way is left.
ask server oslo-1
ask server oslo-1 sender=1
# A way that is only closed for now is waited for. Where none is left it does bounce.
set slow disabled
ask server oslo-1 sender=1
set slow disabled=no
set on reject=1
ask server oslo-1 sender=1
# An accept list keeps out whoever it does not name; what names him in the reject list wins.
ask address SMTP example.com
ask address SMTP example.com sender=2
ask address SMTP example.com sender=3
ask address SMTP example.com sender=1,3
# Reports need not be named to be accepted, and can be rejected by name. A
# connector that may not be used does not exist: a less specific one is taken.
ask address SMTP example.com sender=0
ask address SMTP x.net sender=0
ask address SMTP x.net
ask address SMTP x.net sender=1
ask address FAX +49 sender=3
# In transit the next server decides the same, for the sender travels: a choice
# that the sender may not use is not kept.
ask address SMTP x.net connector=net sender=1,2
