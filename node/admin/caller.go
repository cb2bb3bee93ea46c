package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// What a node passes on it asks in its own name, and adds for whom: the certificates
// that the caller showed, leaf first, or the user of its socket. The one that is asked
// judges the certificates itself, and logs both.
const (
	callerName  = "postroad-caller"
	callerChain = "postroad-caller-chain-bin"
)

// onBehalf adds to a question who asked it here, if somebody did.
func onBehalf(ctx context.Context) context.Context {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ctx
	}
	switch u := p.AuthInfo.(type) {
	case socketUser:
		return metadata.AppendToOutgoingContext(ctx, callerName, u.String())
	case credentials.TLSInfo:
		for _, c := range u.State.PeerCertificates {
			ctx = metadata.AppendToOutgoingContext(ctx, callerChain, string(c.Raw))
		}
	}
	return ctx
}

// behalf is for whom another node asks.
type behalf struct {
	name  string              // of the socket's user
	chain []*x509.Certificate // else
}

// behalfOf reads what onBehalf wrote; an error is no answer to "for whom".
func behalfOf(ctx context.Context) (b behalf, err error) {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, raw := range md.Get(callerChain) {
		c, err := x509.ParseCertificate([]byte(raw))
		if err != nil {
			return behalf{}, fmt.Errorf("the certificate of whom it asks for: %w", err)
		}
		b.chain = append(b.chain, c)
	}
	if names := md.Get(callerName); len(names) == 1 && len(b.chain) == 0 {
		b.name = names[0]
	}
	return b, nil
}

// allowed says why a node may not ask for its caller; nil: it may.
func (s *Server) allowed(ctx context.Context) error {
	b, err := behalfOf(ctx)
	switch {
	case err != nil:
		return err
	case len(b.chain) > 0:
		if who := b.chain[0].Subject.CommonName; !s.cfg.MayChange(tls.ConnectionState{PeerCertificates: b.chain}) {
			return fmt.Errorf("%s asks for %s, whose certificate has not the role admin", caller(ctx), who)
		}
	case b.name == "":
		return fmt.Errorf("%s does not say for whom it asks", caller(ctx))
	}
	return nil
}

// who is the one that acts, for logs and tracking: the name in the certificate; or
// what the client says of itself, over the socket, there and through another node.
func (s *Server) who(ctx context.Context, by string) string {
	if s.fromNode(ctx) {
		b, _ := behalfOf(ctx)
		switch {
		case len(b.chain) > 0:
			return b.chain[0].Subject.CommonName
		case by == "":
			return b.name
		}
		return by // that node has put the user of its socket beside it
	}
	if name := caller(ctx); name != "" {
		return name
	}
	p, _ := peer.FromContext(ctx)
	if p == nil {
		return by
	}
	if u, ok := p.AuthInfo.(socketUser); ok {
		if by == "" {
			return u.String()
		}
		return fmt.Sprintf("%s (%s)", by, u)
	}
	return by
}
