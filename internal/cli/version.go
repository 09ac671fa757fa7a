package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is what was linked into the binary, else what `go install …@version` leaves in it.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// NewVersionCommand is the command that prints it, after the name of the binary.
func NewVersionCommand(binary, short, version string) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s (%s, %s/%s)\n", binary, version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
