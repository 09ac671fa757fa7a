package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/port/bootstrap"
)

// The environment variables of a credential of Port. It is no flag: flags are seen by all users of a machine, and stay in histories.
const (
	portClientID     = "PORT_CLIENT_ID"
	portClientSecret = "PORT_CLIENT_SECRET" //nolint:gosec // the name of a variable
)

func newPortCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "port",
		Short: "Prepare a portal of Port",
		Args:  cli.UnknownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newPortBootstrapCommand())
	return cmd
}

// portBootstrapOptions are the flags of `port bootstrap`.
type portBootstrapOptions struct {
	region, baseURL   string
	blueprints        map[string]string
	wanted            bootstrap.Options
	dryRun, printPage bool
}

func newPortBootstrapCommand() *cobra.Command {
	o := &portBootstrapOptions{wanted: bootstrap.DefaultOptions()}
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Make what a portal of Port needs to take events and metrics",
		Long: `Makes in a portal of Port what a DoraSink of type Port needs: blueprints with their properties and relations, scorecards
of the tiers, and a page that shows them. It prints what is missing, and makes that, unless --dry-run is given.

Nothing that is there is changed or removed. A blueprint gets the properties that it lacks; what is in the way, such as a
property of another type, is told and left alone. It can be run again at any time.

The credential is one of a machine, in the environment variables PORT_CLIENT_ID and PORT_CLIENT_SECRET. The names are those of
spec.port of the DoraSink. The exit code is 1 if something could not be made, or is in the way.`,
		Example: `  dora-controller port bootstrap --dry-run
  dora-controller port bootstrap --region US --blueprints service=microservice,incident=-
  dora-controller port bootstrap --print-page > page.json`,
		Args: func(cmd *cobra.Command, args []string) error { return cli.Usage(cmd, cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			names, err := o.check(cmd)
			if err != nil {
				return cli.Usage(cmd, err)
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), names)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.region, "region", "EU", "where the organization lives: EU or US")
	f.StringVar(&o.baseURL, "base-url", "", "address of the API, instead of that of the region")
	f.StringToStringVar(&o.blueprints, "blueprints", nil,
		"names of blueprints that are not the default, as deployment=…,service=…,team=…,incident=…,pullRequest=…; - leaves one out")
	f.StringSliceVar(&o.wanted.Environments, "environments", o.wanted.Environments, "what environments are called in the portal; the page shows the first")
	f.StringVar(&o.wanted.Succeeded, "status-succeeded", o.wanted.Succeeded, "what deploymentStatus is of a deployment that succeeded")
	f.StringVar(&o.wanted.Failed, "status-failed", o.wanted.Failed, "what deploymentStatus is of a deployment that failed")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what is missing, and make nothing")
	f.BoolVar(&o.wanted.WithoutPage, "without-page", false, "make no page: Port's API of pages is in beta")
	f.BoolVar(&o.printPage, "print-page", false, "print the page as JSON, and ask Port nothing")
	return cmd
}

// check reads the flags.
func (o *portBootstrapOptions) check(cmd *cobra.Command) (bootstrap.Names, error) {
	address, known := port.Regions[strings.ToUpper(o.region)]
	switch {
	case !known:
		return bootstrap.Names{}, fmt.Errorf("%q is no region of Port: want EU or US", o.region)
	case o.baseURL == "":
		o.baseURL = address
	case cmd.Flags().Changed("region"):
		return bootstrap.Names{}, errors.New("--base-url is instead of --region: leave one of them out")
	}
	if o.printPage && (o.dryRun || o.wanted.WithoutPage) {
		return bootstrap.Names{}, errors.New("--print-page prints the page and does nothing else: leave out --dry-run and --without-page")
	}
	if o.wanted.Succeeded == "" || o.wanted.Failed == "" || o.wanted.Succeeded == o.wanted.Failed {
		return bootstrap.Names{}, errors.New("--status-succeeded and --status-failed must be two different words")
	}
	if len(o.wanted.Environments) == 0 || slices.Contains(o.wanted.Environments, "") {
		return bootstrap.Names{}, errors.New("--environments must name at least one, and none may be empty")
	}
	return o.names()
}

// blueprintName is what Port takes as the identifier of a blueprint.
var blueprintName = regexp.MustCompile(`^[\p{L}0-9@_.+:\\/-]{1,100}$`)

func (o *portBootstrapOptions) names() (bootstrap.Names, error) {
	names := bootstrap.DefaultNames()
	all := map[string]*string{
		"deployment": &names.Deployment, "service": &names.Service, "team": &names.Team, "incident": &names.Incident, "pullRequest": &names.PullRequest,
	}
	for _, of := range slices.Sorted(maps.Keys(o.blueprints)) {
		name, known := all[of]
		if !known {
			return names, fmt.Errorf("--blueprints has no %q: want %s", of, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
		}
		*name = o.blueprints[of]
		if !blueprintName.MatchString(*name) || *name == "." || *name == ".." {
			return names, fmt.Errorf("--blueprints: %q cannot be the identifier of a blueprint", *name)
		}
	}
	taken := map[string]string{}
	for _, of := range slices.Sorted(maps.Keys(all)) {
		name := *all[of]
		if other := taken[name]; other != "" && name != bootstrap.None {
			return names, fmt.Errorf("--blueprints: %s and %s cannot both be %s", other, of, name)
		}
		taken[name] = of
	}
	return names, nil
}

func (o *portBootstrapOptions) run(ctx context.Context, out io.Writer, names bootstrap.Names) error {
	if o.printPage {
		page, err := bootstrap.PageDocument(names, o.wanted)
		if err == nil {
			_, err = out.Write(page)
		}
		return err
	}
	api, err := o.portal()
	if err != nil {
		return err
	}
	plan, err := bootstrap.Plan(ctx, api, names, o.wanted)
	if err != nil {
		return err
	}
	if err := bootstrap.Print(out, plan); err != nil {
		return err
	}
	if !o.dryRun {
		if err := makePortal(ctx, out, api, plan); err != nil {
			return err
		}
	}
	if n := bootstrap.Conflicts(plan); n > 0 {
		return fmt.Errorf("%d in conflict: mend what stands behind a ! above, and run this again", n)
	}
	return nil
}

func makePortal(ctx context.Context, out io.Writer, api bootstrap.API, plan []bootstrap.Step) error {
	err := bootstrap.Apply(ctx, api, plan)
	if page, ok := errors.AsType[*bootstrap.PageError](err); ok {
		return fmt.Errorf("%w; all the rest is made: leave the page out with --without-page, and make it by hand from --print-page", page)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "done")
	return err
}

// portal is Port's API, as bootstrap wants it.
type portal struct{ *port.Client }

// Missing implements bootstrap.API. A proxy that says 404, and a credential that Port does not know, are something else.
func (portal) Missing(err error) bool {
	problem, answered := errors.AsType[*port.Error](err)
	return answered && problem.Status == http.StatusNotFound && problem.Code == "not_found" && sink.ReasonOf(err) == sink.NotFound
}

// portal connects as the user of this machine, who can reach all of its networks anyhow: the guard, which keeps those who write objects of a
// cluster from the controller's networks, allows them all.
func (o *portBootstrapOptions) portal() (portal, error) {
	id, secret := os.Getenv(portClientID), os.Getenv(portClientSecret)
	if id == "" || secret == "" {
		return portal{}, fmt.Errorf("no credential of Port: set the environment variables %s and %s", portClientID, portClientSecret)
	}
	client, err := port.NewClient(port.ClientOptions{
		Version: buildVersion(), BaseURL: o.baseURL, ClientID: id, ClientSecret: secret,
		Guard: egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
	})
	return portal{client}, err
}
