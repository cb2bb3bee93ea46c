package transport

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func TestCause(t *testing.T) {
	for _, c := range []struct {
		text, want string
		ok         bool
	}{
		{`connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:691: connect: connection refused"`, "dial tcp 127.0.0.1:691: connect: connection refused", true},
		{`connection error: desc = "transport: authentication handshake failed: tls: bad certificate"`, "authentication handshake failed: tls: bad certificate", true},
		{"no queue q", "no queue q", false},
		{"", "", false},
	} {
		if got, ok := Cause(c.text); got != c.want || ok != c.ok {
			t.Errorf("Cause(%q) = %q, %v; want %q, %v", c.text, got, ok, c.want, c.ok)
		}
	}
}

// The library in use still writes the frame like that.
func TestCauseOfTheLibrary(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	if got, ok := Cause(status.Convert(err).Message()); !ok || got != "dial tcp "+address+": connect: connection refused" {
		t.Errorf("%v: %q, %v", err, got, ok)
	}
}
