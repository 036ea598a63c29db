package cli

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/report"
)

func newReport(io *IO) *cobra.Command {
	s, page, exitCode := &session{io: io}, "", false
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "What many hosts said of themselves, as a table and a page",
		Long: `report merges what hosts wrote with "movein status --json", or as the events of a run, into
one table: what has drifted, since when, which generation, which Nix, and how old the newest
of the flake's inputs is. A FILE may have many hosts, and a directory stands for all .json in
it. Of each home the newest counts; what is older tells since when it is so.

It is no matter how the files come here; movein.home.check of "movein ansible export" brings them.`,
		Example: `  movein report reports
  movein report --html fleet.html desk.json laptop.json
  movein report --exit-code reports   exit 2 if something has drifted`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("a file is missing"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			fleet, err := io.fleet(args)
			if err != nil {
				return err
			}
			v := &host.Real{Root: io.Root}
			if err := fleet.Table(io.Out, v.Now(), s.textOptions()); err != nil {
				return err
			}
			if page != "" {
				err = io.writePage(v, page, fleet)
			}
			if err == nil && exitCode && !fleet.InSync() {
				return exitStatus(bootstrap.ExitChanges)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&page, "html", "", "also write one page, which needs nothing else, to this `file`")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 2 if something has drifted or failed")
	cmd.Flags().BoolVarP(&s.opt.verbose, "verbose", "v", false, "tell all that is wrong with each host")
	return cmd
}

// fleet reads the files, and those in directories.
func (io *IO) fleet(args []string) (report.Fleet, error) {
	v := &host.Real{Root: io.Root}
	var seen []report.Seen
	for _, arg := range args {
		name, err := io.abs(arg)
		if err != nil {
			return nil, err
		}
		files := []string{name}
		if entries, err := v.ReadDir(name); err == nil {
			files = nil
			for _, e := range entries {
				if filepath.Ext(e.Name()) == ".json" && e.Type().IsRegular() {
					files = append(files, filepath.Join(name, e.Name()))
				}
			}
			if len(files) == 0 {
				return nil, bootstrap.Hint(bootstrap.Misconfigured("there is no .json in %s", arg), "what it takes: movein report --help")
			}
		}
		for _, file := range files {
			data, err := v.ReadFile(file)
			var of []report.Seen
			if err == nil {
				of, err = report.ReadSeen(file, data)
			}
			if err != nil {
				return nil, bootstrap.Hint(bootstrap.Misconfigured("reading %s: %w", file, err), "what it takes: movein report --help")
			}
			seen = append(seen, of...)
		}
	}
	return report.NewFleet(seen), nil
}

func (io *IO) writePage(v *host.Real, name string, fleet report.Fleet) error {
	name, err := io.abs(name)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := fleet.HTML(&page, v.Now()); err != nil {
		return err
	}
	if err := v.WriteFile(name, page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
