package vserver

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

const defaultListTimeout = 5 * time.Second

// blockLists are lists of addresses in DNS (RFC 5782).
type blockLists struct {
	lists            []blockList
	exempt           []netip.Prefix
	exemptRecipients addressSet
	timeout          time.Duration
}

type blockList struct {
	zone  string
	codes []netip.Prefix
	reply string
	dry   bool
}

func newBlockLists(b *directoryv1.BlockLists) blockLists {
	all := blockLists{
		exempt:           parseNetworks(b.GetExemptNetworks()),
		exemptRecipients: newAddressSet(b.GetExemptRecipients()),
		timeout:          firstOf(b.GetTimeout().AsDuration(), defaultListTimeout),
	}
	for _, l := range b.GetLists() {
		all.lists = append(all.lists, blockList{
			zone: mail.DomainKey(l.GetZone()), codes: parseNetworks(l.GetCodes()), dry: l.GetDryRun(),
			reply: firstOf(l.GetReply(), "{address} is listed by {zone}"),
		})
	}
	return all
}

// concern says whether a client is looked up.
func (b *blockLists) concern(c client) bool {
	return len(b.lists) > 0 && c.stranger() && c.ip.IsValid() && !inNetworks(b.exempt, c.ip)
}

// spares says whether a recipient gets mail from listed clients too: whoever is
// listed by mistake must be able to say so.
func (b *blockLists) spares(a mail.Address) bool {
	return strings.EqualFold(a.Local, "postmaster") || b.exemptRecipients.has(a)
}

// question is the name to look up (RFC 5782 sections 2.1 and 2.4).
func (l *blockList) question(ip netip.Addr) string {
	if ip = ip.Unmap(); ip.Is4() {
		b := ip.As4()
		return fmt.Sprintf("%d.%d.%d.%d.%s", b[3], b[2], b[1], b[0], l.zone)
	}
	b := ip.As16()
	digits := hex.EncodeToString(b[:])
	var name strings.Builder
	for i := len(digits) - 1; i >= 0; i-- {
		name.WriteByte(digits[i])
		name.WriteByte('.')
	}
	return name.String() + l.zone
}

// means says whether an answer is a listing.
func (l *blockList) means(answer netip.Addr) bool {
	if len(l.codes) > 0 {
		return inNetworks(l.codes, answer)
	}
	// RFC 5782 section 2.3; lists that refuse to answer say so with 127.255.255.x.
	b := answer.Unmap().As4()
	return b[0] == 127 && (b[1] != 255 || b[2] != 255)
}

func (l *blockList) text(ip netip.Addr) string {
	return strings.NewReplacer("{address}", ip.String(), "{zone}", l.zone).Replace(l.reply)
}

// listing is the search for one client in all lists. It runs while the client
// goes on talking.
type listing struct {
	done chan struct{}
	hits []*blockList // by list; nil where the client is not listed
}

// search asks all lists at once. A list that fails, or does not answer in time,
// lists nobody.
func (b *blockLists) search(ctx context.Context, dns Resolver, ip netip.Addr, log *zap.Logger) *listing {
	s := &listing{done: make(chan struct{}), hits: make([]*blockList, len(b.lists))}
	if dns == nil {
		close(s.done)
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	var wg sync.WaitGroup
	for i := range b.lists {
		wg.Go(func() {
			l := &b.lists[i]
			answers, err := dns.Listed(ctx, l.question(ip))
			if err = unlessCertain(err); err != nil {
				log.Warn("block_list_failed", zap.String("zone", l.zone), zap.Stringer("address", ip), zap.Error(err))
				return
			}
			for _, a := range answers {
				if l.means(a) {
					s.hits[i] = l
				}
			}
		})
	}
	go func() {
		wg.Wait()
		cancel()
		close(s.done)
	}()
	return s
}

// first waits for all answers; hit is the first list, in their order, that
// counts, dry are those that only look.
func (s *listing) first() (hit *blockList, dry []*blockList) {
	<-s.done
	for _, l := range s.hits {
		switch {
		case l == nil:
		case l.dry:
			dry = append(dry, l)
		case hit == nil:
			hit = l
		}
	}
	return hit, dry
}
