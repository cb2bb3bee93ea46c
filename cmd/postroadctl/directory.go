package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
	"github.com/postroad/postroad/store/directory"
)

func applyCommand(c *client) *cobra.Command {
	var file string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create or change objects: all of them or none",
		Long: `Create or change the objects of a YAML file (- for standard input) in one
transaction. Objects that are not in the file are left alone. An object that
carries a revision is changed only if that is still the current one.`,
		Args: needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			objs, err := readObjects(cmd, file)
			if err != nil {
				return err
			}
			resp, err := directoryv1.NewDirectoryServiceClient(conn).Apply(ctx, &directoryv1.ApplyRequest{Objects: objs, DryRun: dryRun})
			if err != nil {
				return refused(err)
			}
			if done, err := c.message(cmd.OutOrStdout(), resp); done {
				return err
			}
			for _, w := range resp.GetWarnings() {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			suffix := ""
			if dryRun {
				suffix = " (dry run)"
			}
			for _, ch := range resp.GetChanges() {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s%s\n", key(ch), word(ch.GetAction().String(), "ACTION_"), suffix)
			}
			return nil
		}),
	}
	cmd.Flags().StringVarP(&file, "filename", "f", "", "YAML file, - for standard input")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	_ = cmd.MarkFlagRequired("filename")
	return cmd
}

func readObjects(cmd *cobra.Command, file string) ([]*directoryv1.Object, error) {
	if file == "-" {
		return directory.DecodeYAML(cmd.InOrStdin(), "standard input")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return directory.DecodeYAML(f, file)
}

func key(c *directoryv1.Change) string {
	m := c.GetAfter().GetMetadata()
	if m == nil {
		m = c.GetBefore().GetMetadata()
	}
	return m.GetKind() + "/" + m.GetName()
}

func getCommand(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "get [KIND [NAME]]",
		Short: "Show objects; -o yaml is what apply reads",
		Long:  "Show objects of the directory. Kinds: " + strings.Join(directory.Kinds(), ", ") + ".",
		Args:  cobra.MaximumNArgs(2),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			req := &directoryv1.GetRequest{}
			if len(args) == 1 {
				args = strings.SplitN(args[0], "/", 2) // as apply and get write it
			}
			if len(args) > 0 {
				var err error
				if req.Kind, err = kindNamed(args[0]); err != nil {
					return err
				}
			}
			if len(args) > 1 {
				req.Name = args[1]
			}
			resp, err := directoryv1.NewDirectoryServiceClient(conn).Get(ctx, req)
			if err != nil {
				return err
			}
			if resp.GetFromCatalog() {
				fmt.Fprintf(cmd.ErrOrStderr(), "etcd does not answer; this is the node's catalog, %s old\n", age(resp.GetCatalogAgeMs()))
			}
			var states map[string]string
			if c.format == "wide" {
				states = statesOf(ctx, conn, resp.GetObjects())
			}
			return c.objects(cmd.OutOrStdout(), resp.GetObjects(), states)
		}),
	}
}

// kindNamed forgives letter case and a plural.
func kindNamed(s string) (string, error) {
	for _, k := range directory.Kinds() {
		if strings.EqualFold(s, k) || strings.EqualFold(s, k+"s") || k == directory.KindRecipientPolicy && strings.EqualFold(s, "recipientpolicies") {
			return k, nil
		}
	}
	return "", &failure{fmt.Errorf("there is no kind %q; the kinds are %s", s, strings.Join(directory.Kinds(), ", ")), exitUsage}
}

func (c *client) objects(w io.Writer, objs []*directoryv1.Object, states map[string]string) error {
	switch c.format {
	case "yaml":
		return directory.EncodeYAML(w, objs)
	case "json":
		return directory.EncodeJSON(w, objs)
	}
	rows := make([][]string, len(objs))
	for i, o := range objs {
		m := o.GetMetadata()
		rows[i] = []string{m.GetKind() + "/" + m.GetName(), fmt.Sprint(m.GetRevision()), summary(o)}
		if c.format == "wide" {
			rows[i] = append(rows[i], m.GetGuid(), dash(states[rows[i][0]]))
		}
	}
	header := "OBJECT\tREVISION\tSUMMARY"
	if c.format == "wide" {
		header += "\tGUID\tSTATE"
	}
	return c.table(w, header, rows)
}

// summary is the few words that tell objects of one kind apart.
func summary(o *directoryv1.Object) string {
	switch s := o.GetSpec().(type) {
	case *directoryv1.Object_Server:
		return "group " + s.Server.GetRoutingGroup() + ", " + s.Server.GetSmtpAddress()
	case *directoryv1.Object_VirtualServer:
		return "on " + s.VirtualServer.GetServer() + ", " + strings.Join(s.VirtualServer.GetBindings(), " ")
	case *directoryv1.Object_RoutingGroupConnector:
		r := s.RoutingGroupConnector
		return fmt.Sprintf("%s -> %s, cost %d", r.GetSourceGroup(), r.GetTargetGroup(), max(r.GetCost(), 1))
	case *directoryv1.Object_SmtpConnector:
		return "in " + s.SmtpConnector.GetRoutingGroup() + ", " + spaces(s.SmtpConnector.GetAddressSpaces())
	case *directoryv1.Object_ForeignConnector:
		return "in " + s.ForeignConnector.GetRoutingGroup() + ", " + spaces(s.ForeignConnector.GetAddressSpaces())
	case *directoryv1.Object_RecipientPolicy:
		var d []string
		for _, p := range s.RecipientPolicy.GetDomains() {
			d = append(d, p.GetDomain())
		}
		return strings.Join(d, " ")
	case *directoryv1.Object_MailRule:
		r := s.MailRule
		text := word(r.GetAction().String(), "MAIL_RULE_ACTION_") + " " + r.GetMatch()
		if r.GetTo() != "" {
			text += " to " + r.GetTo()
		}
		if r.GetExpires() != "" {
			text += ", until " + r.GetExpires()
		}
		return text
	case *directoryv1.Object_Recipient:
		r := s.Recipient
		kind := "mailbox on " + r.GetMailbox().GetHomeServer()
		if r.GetContact() != nil {
			kind = "contact for " + r.GetContact().GetTargetAddress()
		} else if r.GetGroup() != nil {
			kind = fmt.Sprintf("group of %d", len(r.GetGroup().GetMembers()))
		}
		return kind + ", " + strings.Join(r.GetAddresses(), " ")
	}
	return ""
}

func spaces(as []*directoryv1.AddressSpace) string {
	var all []string
	for _, a := range as {
		typ := a.GetType()
		if typ == "" {
			typ = directory.TypeSMTP
		}
		all = append(all, fmt.Sprintf("%s:%s;%d", typ, a.GetPattern(), max(a.GetCost(), 1)))
	}
	return strings.Join(all, " ")
}

func deleteCommand(c *client) *cobra.Command {
	var dryRun bool
	var revision int64
	cmd := &cobra.Command{
		Use:   "delete KIND NAME",
		Short: "Remove an object; refused while others refer to it",
		Args:  needs("KIND", "NAME"),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, args []string) error {
			kind, err := kindNamed(args[0])
			if err != nil {
				return err
			}
			resp, err := directoryv1.NewDirectoryServiceClient(conn).Delete(ctx, &directoryv1.DeleteRequest{
				Kind: kind, Name: args[1], Revision: revision, DryRun: dryRun,
			})
			if err != nil {
				return refused(err)
			}
			if done, err := c.message(cmd.OutOrStdout(), resp); done {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", key(resp.GetChange()), word(resp.GetChange().GetAction().String(), "ACTION_"))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	cmd.Flags().Int64Var(&revision, "revision", 0, "only if this is still the object's revision")
	return cmd
}

func diffCommand(c *client) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Show what apply would change; exit code 0 nothing, 1 something, 2 a file that is not valid",
		Long: `Show what apply would change, object by object, and which ways mail would take
then, with the load of the last 24 hours (see topology whatif). Exit code 0 nothing,
1 something, 2 a file that is not valid. -o json and -o yaml have the members "apply" (the
changes) and "effects" (as topology whatif -o json has them; null if no way is concerned).`,
		Args: needs(),
		RunE: c.run(func(ctx context.Context, cmd *cobra.Command, conn grpc.ClientConnInterface, _ []string) error {
			objs, err := readObjects(cmd, file)
			if err != nil {
				return &failure{err, exitUsage}
			}
			resp, err := directoryv1.NewDirectoryServiceClient(conn).Apply(ctx, &directoryv1.ApplyRequest{Objects: objs, DryRun: true})
			if err != nil {
				return err
			}
			effects, unknown := effectsOf(ctx, conn, resp.GetChanges())
			if unknown != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "what would become of the ways of mail is not known: %v\n", failed(unknown))
			}
			if err := c.difference(cmd.OutOrStdout(), resp, effects); err != nil {
				return err
			}
			silent := missing(cmd.ErrOrStderr(), effects.GetMissing())
			different := 0
			for _, ch := range resp.GetChanges() {
				if ch.GetAction() != directoryv1.Action_ACTION_UNCHANGED {
					different++
				}
			}
			if different > 0 {
				return &failure{fmt.Errorf("%s would change", count(different, "object")), exitFailed}
			}
			return silent
		}),
	}
	cmd.Flags().StringVarP(&file, "filename", "f", "", "YAML file, - for standard input")
	_ = cmd.MarkFlagRequired("filename")
	return cmd
}

// difference prints what apply would change and what that would do.
func (c *client) difference(w io.Writer, m *directoryv1.ApplyResponse, effects *topologyv1.WhatIfResponse) error {
	if c.format == "json" || c.format == "yaml" {
		return c.messages(w, []member{{"apply", m}, {"effects", effects}})
	}
	for _, ch := range m.GetChanges() {
		switch {
		case ch.GetAction() == directoryv1.Action_ACTION_UNCHANGED:
		case c.format == "name":
			fmt.Fprintln(w, key(ch))
		default:
			if err := printDiff(w, ch); err != nil {
				return err
			}
		}
	}
	if effects == nil || c.format == "name" {
		return nil
	}
	fmt.Fprintln(w)
	return printEffects(w, c, effects)
}

func printDiff(w io.Writer, ch *directoryv1.Change) error {
	if ch.GetBefore() == nil {
		ch.GetAfter().GetMetadata().Guid = "" // given anew at each try, until it is applied
	}
	before, err := text(ch.GetBefore())
	if err != nil {
		return err
	}
	after, err := text(ch.GetAfter())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %s\n", key(ch), word(ch.GetAction().String(), "ACTION_"))
	for _, l := range lineDiff(before, after) {
		fmt.Fprintln(w, l)
	}
	return nil
}

// text is the object as apply would read it, without the revision.
func text(o *directoryv1.Object) ([]string, error) {
	if o == nil {
		return nil, nil
	}
	o.GetMetadata().Revision = 0
	var b bytes.Buffer
	if err := directory.EncodeYAML(&b, []*directoryv1.Object{o}); err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n"), nil
}

// lineDiff marks removed and added lines by the longest common subsequence;
// objects are short, so the quadratic table is small.
func lineDiff(a, b []string) []string {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}
