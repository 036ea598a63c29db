package cli

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/embed"
)

func newAnsible(io *IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ansible",
		Short: "Many hosts: the Ansible collection",
		Long: `With Ansible, movein moves users into their homes on many hosts. The collection
movein.home, which it brings along, has a module, a role and playbooks for that.`,
		Example: `  movein ansible export ~/fleet
  ANSIBLE_COLLECTIONS_PATH=~/fleet ansible-playbook -i hosts.yml movein.home.check`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(cmd, fmt.Errorf("there is no command %q", "ansible "+args[0]))
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "export DIR",
		Short: "Write the collection, with this movein in it",
		Long: `export writes the collection movein.home to DIR/ansible_collections/movein/home, and this
movein, for hosts of this architecture. What is there already is not touched: remove it first.`,
		Example: `  movein ansible export ~/fleet`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("the directory is missing"))
			}
			return oneArg(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := io.abs(args[0])
			if err != nil {
				return err
			}
			return io.exportAnsible(filepath.Join(dir, "ansible_collections", "movein", "home"))
		},
	})
	return cmd
}

// exportAnsible writes the collection to dir, which must not be there; all of it, or nothing.
func (io *IO) exportAnsible(dir string) error {
	v := &host.Real{Root: io.Root}
	if _, err := v.Lstat(dir); err == nil {
		return bootstrap.Hint(bootstrap.Refuse("%s is there already", dir), "if nothing in it is yours: rm -r %s", dir)
	}
	half := filepath.Join(filepath.Dir(dir), fmt.Sprintf(".home-%d", os.Getpid()))
	err := errors.Join(writeFiles(v, half, embed.Ansible()), writeProgram(v, filepath.Join(half, "files")))
	if err == nil {
		err = v.Rename(half, dir)
	}
	if err != nil {
		return fmt.Errorf("writing the collection: %w", errors.Join(err, v.Remove(half)))
	}
	fmt.Fprintf(io.Out, "Wrote %s.\nUse it: export ANSIBLE_COLLECTIONS_PATH=%s\nWhat there is: %s/README.md\n", dir, filepath.Dir(filepath.Dir(filepath.Dir(dir))), dir)
	return nil
}

// writeFiles writes the files to dir.
func writeFiles(v *host.Real, dir string, files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return v.MkdirAll(filepath.Join(dir, name), 0o755)
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return v.WriteFile(filepath.Join(dir, name), data, 0o644)
	})
}

// writeProgram writes this program to dir as a release has it.
func writeProgram(v *host.Real, dir string) error {
	exe, err := host.Executable()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	name := "movein-linux-" + runtime.GOARCH
	return errors.Join(v.MkdirAll(dir, 0o755), v.WriteFile(filepath.Join(dir, name), data, 0o755),
		v.WriteFile(filepath.Join(dir, "SHA256SUMS"), fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(data), name), 0o644))
}
