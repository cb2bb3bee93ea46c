package resolve

import (
	"context"
	"errors"
	"fmt"

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
				return m, server, nil
			default:
				last = fmt.Errorf("DNS server %s answers %s", server, dns.RcodeToString[m.Rcode])
			}
		}
	}
	return nil, "", last
}

func (r *Resolver) askOne(ctx context.Context, server string, q question) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.kind)
	m.SetEdns0(udpSize, false)
	reply, err := r.over(ctx, "udp", server, m)
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
		return r.over(ctx, "tcp", server, m) // RFC 7766 section 5
	}
	return reply, nil
}

func (r *Resolver) over(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: r.opts.Timeout, UDPSize: udpSize}
	reply, _, err := client.ExchangeContext(ctx, m, server)
	if err != nil {
		return nil, err
	}
	if len(reply.Question) != 1 || dns.CanonicalName(reply.Question[0].Name) != dns.CanonicalName(m.Question[0].Name) {
		return nil, errors.New("the answer is to another question")
	}
	return reply, nil
}
