package main

import (
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// Only a socket behind which somebody answers is chosen: not one that is not
// there, nor one of a process that hangs, for which the kernel accepts.
func TestAnswering(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string) net.Listener {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	listen("hangs")
	s := grpc.NewServer()
	healthv1.RegisterHealthServer(s, health.NewServer())
	l := listen("answers")
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)

	for name, want := range map[string]bool{"missing": false, "hangs": false, "answers": true} {
		conn := answering(t.Context(), filepath.Join(dir, name))
		if (conn != nil) != want {
			t.Errorf("%s: chosen is %v", name, conn != nil)
		}
		if conn != nil {
			conn.Close()
		}
	}
}
