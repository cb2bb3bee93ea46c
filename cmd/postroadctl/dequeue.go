package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	queuev1 "github.com/postroad/postroad/proto/postroad/queue/v1"
)

// dequeueTimeout is how long the mail of a provider may take to come, unless
// --timeout says otherwise.
const dequeueTimeout = 10 * time.Minute

func connectorDequeue(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "dequeue CONNECTOR",
		Short: "Fetch now the mail that a provider holds for a connector",
		Long: `Ask the provider of a connector, by ETRN, ATRN or TURN as its setting dequeue says, for the mail that it
holds, whatever the schedule. The bridgehead whose turn it is asks. With ATRN and TURN the command waits until
the mail has come, 10 minutes at most or --timeout; what has begun goes on without it.

Exit code 0: mail comes, came, or there is none; 1: the provider refused, or could not be asked.`,
		Example: "  postroadctl connector dequeue branch",
		Args:    needs("CONNECTOR"),
		RunE: c.stay(func(cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			within := dequeueTimeout
			if cmd.Flags().Changed("timeout") {
				within = c.timeout
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), within)
			defer cancel()
			m, err := queuev1.NewQueueServiceClient(conn).Dequeue(ctx, &queuev1.DequeueRequest{Connector: args[0]})
			if err != nil {
				return err
			}
			done, err := c.message(cmd.OutOrStdout(), m)
			if err != nil {
				return err
			}
			if !done {
				printDequeue(cmd.OutOrStdout(), m)
			}
			return dequeueFailed(m)
		}),
	}
}

func printDequeue(w io.Writer, m *queuev1.DequeueResponse) {
	fmt.Fprintf(w, "%s: %s asks %s by %s\n", m.GetConnector(), m.GetNode(), firstWord(m.GetRemote(), "the provider"), m.GetMethod())
	for _, a := range m.GetAnswers() {
		fmt.Fprintf(w, "  %s: %d %s\n", firstWord(a.GetWhat(), "all mail"), a.GetCode(), a.GetText())
	}
	if m.GetMethod() != "ETRN" && granted(m) {
		fmt.Fprintf(w, "  %s came\n", count(int(m.GetMessages()), "message"))
	}
}

func granted(m *queuev1.DequeueResponse) bool {
	for _, a := range m.GetAnswers() {
		if a.GetCode()/100 == 2 {
			return true
		}
	}
	return false
}

// codeNoMail: RFC 2645 section 7.
const codeNoMail = 453

func dequeueFailed(m *queuev1.DequeueResponse) error {
	if m.GetError() != "" {
		return &failure{errors.New(m.GetError()), exitFailed}
	}
	for _, a := range m.GetAnswers() {
		if a.GetCode()/100 != 2 && a.GetCode() != codeNoMail {
			return &failure{fmt.Errorf("the provider refuses: %d %s", a.GetCode(), a.GetText()), exitFailed}
		}
	}
	return nil
}
