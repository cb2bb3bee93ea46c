package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/postroad/postroad/cmd/postroad/systemd"
	"github.com/postroad/postroad/node/trust"
	"github.com/postroad/postroad/store/directory"
)

// etcdCommand runs the embedded etcd as a process of its own, so that it can be
// stopped, killed and looked at without touching a node.
func etcdCommand() *cobra.Command {
	var c directory.EmbedConfig
	var f trust.Files
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Run one member of etcd, alone or of several",
		Long: `Run etcd, which keeps the directory, until SIGTERM or SIGINT. Alone it needs
nothing but its addresses. Of several (three outlive the loss of one, five of two),
each has a name and the list of all, the same everywhere:

  --name a --cluster a=10.0.0.1:2380,b=10.0.1.1:2380,c=10.0.2.1:2380

They look at each other's address: issue each certificate with --host and that address.`,
		Example: "  postroad etcd --data /var/lib/postroad-etcd --client 10.0.0.5:2379 --ca ca.crt --cert etcd.crt --key etcd.key",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			manager, err := systemd.Open(os.Getenv, os.Getpid())
			if err != nil {
				return err
			}
			defer manager.Close()
			log, err := etcdLogger()
			if err != nil {
				return err
			}
			c.Logger = log
			c.TLS = &directory.EmbedTLS{CAFile: f.CA, CertFile: f.Cert, KeyFile: f.Key}
			e, err := directory.Embed(cmd.Context(), c)
			if err != nil {
				return err
			}
			log.Info("etcd_listening", zap.Strings("endpoints", e.Endpoints()))
			manager.Ready()
			go manager.Live(cmd.Context())
			defer func() {
				manager.Stopping()
				e.Stop()
				log.Info("stopped")
			}()
			select {
			case <-cmd.Context().Done():
				return nil
			case err := <-e.Err():
				return err
			}
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&c.Dir, "data", "", "folder of etcd")
	fl.StringVar(&c.ClientAddress, "client", "127.0.0.1:2379", "address for clients")
	fl.StringVar(&c.PeerAddress, "peer", "127.0.0.1:2380", "address for other members")
	fl.StringVar(&c.Name, "name", "", "name of this member; keep it as long as the folder")
	fl.StringToStringVar(&c.Members, "cluster", nil, "all members as NAME=HOST:PORT of their peer addresses; none: it is alone")
	fl.StringVar(&f.CA, "ca", "", "cluster CA")
	fl.StringVar(&f.Cert, "cert", "", "certificate")
	fl.StringVar(&f.Key, "key", "", "key")
	for _, name := range []string{"data", "ca", "cert", "key"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

// etcdLogger writes lines of the form that nodes have.
func etcdLogger() (*zap.Logger, error) {
	z := zap.NewProductionConfig()
	z.Sampling, z.DisableStacktrace, z.DisableCaller = nil, true, true
	f := &z.EncoderConfig
	f.EncodeTime = func(t time.Time, enc zapcore.PrimitiveArrayEncoder) { zapcore.RFC3339NanoTimeEncoder(t.UTC(), enc) }
	f.TimeKey, f.MessageKey, f.NameKey = "ts", "event", "part"
	return z.Build()
}
