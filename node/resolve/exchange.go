package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// ask puts a question to the servers in turn until one answers for good: with
// records, or with their absence. What any of them refuses to say is no answer.
func (r *Resolver) ask(ctx context.Context, q question) (m *dns.Msg, server string, err error) {
	last := errors.New(noAnswerYet)
	for range r.opts.Attempts {
		for _, server := range r.inTurn(r.opts.Clock()) {
			m, err := r.askOne(ctx, server, q)
			if ctx.Err() == nil {
				r.heard(server, err == nil, r.opts.Clock())
			}
			switch {
			case ctx.Err() != nil:
				return nil, "", fmt.Errorf("DNS: %w", context.Cause(ctx))
			case err != nil:
				last = fmt.Errorf("DNS server %s: %w", server, err)
			case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
				if why := lame(m); why != "" {
					last = fmt.Errorf("DNS server %s %s", server, why)
					continue
				}
				return m, server, nil
			default:
				last = fmt.Errorf("DNS server %s answers %s", server, dns.RcodeToString[m.Rcode])
			}
		}
	}
	return nil, "", last
}

// lame says why the absence of records in a reply proves nothing: it comes from a
// server that neither knows the zone nor looks it up for others. Believed, a name
// server that is set up wrongly would bounce all mail.
func lame(m *dns.Msg) string {
	if len(m.Answer) > 0 || m.Authoritative {
		return ""
	}
	if !m.RecursionAvailable {
		return "does not look names up for this host (no recursion)"
	}
	// RFC 2308 section 2.2: NS without SOA is a referral, not an absence.
	if m.Rcode == dns.RcodeSuccess && !hasSOA(m) && slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS }) {
		return "refers to other servers"
	}
	return ""
}

func (r *Resolver) askOne(ctx context.Context, server string, q question) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.kind)
	m.SetEdns0(udpSize, false)
	reply, err := r.over(ctx, "udp", server, m)
	var garbled *dns.Error
	if errors.As(err, &garbled) {
		// Larger than was asked for, and so cut by the read, with TC or without.
		return r.overTCP(ctx, server, m)
	}
	if err != nil {
		return nil, err
	}
	if reply.Rcode == dns.RcodeFormatError && reply.IsEdns0() == nil {
		// RFC 6891 section 7: a server from before EDNS.
		m = new(dns.Msg)
		m.SetQuestion(q.name, q.kind)
		if reply, err = r.over(ctx, "udp", server, m); err != nil {
			return nil, err
		}
	}
	if reply.Truncated {
		return r.overTCP(ctx, server, m)
	}
	return reply, nil
}

// overTCP is for answers that do not fit into a datagram (RFC 7766 section 5).
func (r *Resolver) overTCP(ctx context.Context, server string, m *dns.Msg) (*dns.Msg, error) {
	reply, err := r.over(ctx, "tcp", server, m)
	if err == nil && reply.Truncated {
		return nil, errors.New("the answer is cut over TCP too")
	}
	return reply, err
}

func (r *Resolver) over(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: r.opts.Timeout, UDPSize: udpSize}
	reply, _, err := client.ExchangeContext(ctx, m, server)
	if err != nil {
		return nil, err
	}
	if len(reply.Question) != 1 || !sameQuestion(reply.Question[0], m.Question[0]) {
		return nil, errors.New("the answer is to another question")
	}
	return reply, nil
}

// sameQuestion: with the ID, all that ties an answer to a question (RFC 5452 section 9.1).
func sameQuestion(a, b dns.Question) bool {
	return dns.CanonicalName(a.Name) == dns.CanonicalName(b.Name) && a.Qtype == b.Qtype && a.Qclass == b.Qclass
}
