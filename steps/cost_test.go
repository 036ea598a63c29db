package steps

import (
	"fmt"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
)

// drv is a derivation's text, as Nix writes it.
func drv(hash, env string) string {
	return `Derive([("dev","/nix/store/x-dev","",""),("out","/nix/store/x","",` + hash + `)],[],[],"x86_64-linux","/bin/sh",[],[` + env + `])`
}

// costing is a host on which Nix says this of what a build takes, and makes it.
func costing(t *testing.T, said string, more files) *hosttest.Host {
	h := building(t, buildHost(t, more))
	h.Lax = true
	h.OnQuery(defaultProfile+"/bin/nix build --dry-run", func(c host.Cmd) (host.Result, error) {
		for line := range strings.Lines(said) {
			c.Lines(strings.TrimSuffix(line, "\n"))
		}
		return host.Result{}, nil
	})
	return h
}

// compiling says that these are to be compiled, beside what costs nothing.
func compiling(names ...string) (said string, drvs files) {
	drvs = files{}
	add := func(name, text string) {
		path := storePath(byte('a'+len(drvs)), name+".drv")
		drvs[path] = text
		said += "  " + path + "\n"
	}
	for _, name := range names {
		add(name, drv(`""`, `("src","/nix/store/y")`))
	}
	add("home-manager-files", drv(`""`, `("buildCommand","x")`))
	add("home-manager-path", drv(`""`, `("preferLocalBuild","1"),("srcs","/nix/store/y")`))
	add("source.tar.gz", strings.Replace(drv(`"abc"`, `("src","")`), `"",""),("out","/nix/store/x",""`, `"r:sha256","d"),("out","/nix/store/x","sha256"`, 1))
	return fmt.Sprintf("these %d derivations will be built:\n%s", len(drvs), said), drvs
}

const fetching = "these 312 paths will be fetched (2150.40 MiB download, 8.00 GiB unpacked):\n  /nix/store/a\n  /nix/store/b\n"

func TestWhatComesFromCachesIsBuilt(t *testing.T) {
	said, drvs := compiling()
	for _, said := range []string{"", fetching, said, said + fetching, "this derivation will be built:\n  /nix/store/" + strings.Repeat("a", 32) + "-home-manager-files.drv\n"} {
		h := costing(t, said, drvs)
		converges(t, h, buildStep())
		h.Forget()
		nothingToDo(t, h, buildStep()) // and asked for nothing
	}
}

func TestWhatIsTooMuchForTheHostIsNotCompiled(t *testing.T) {
	many := make([]string, 14)
	for i := range many {
		many[i] = fmt.Sprintf("tool-1.%d", i)
	}
	few, fewDrvs := compiling("a-1", "b-2")
	lot, lotDrvs := compiling(many...)
	gcc, gccDrvs := compiling("a-1", "gcc-14.2.0")
	for _, test := range []struct {
		name, said string
		drvs       files
		ram, space int64
		code       int // 0: it is built
		words      []string
	}{
		{"few on a small host", few, fewDrvs, 8 << 30, 100 << 30, 0, nil},
		{"many on a small host", lot + fetching, lotDrvs, 8 << 30, 100 << 30, bootstrap.ExitFailed, []string{"14 programs", "8.0 GiB of memory", "2 paths, 2.1 GiB", "tool-1.0", "--allow-build"}},
		{"many on a large host", lot, lotDrvs, 64 << 30, 100 << 30, 0, nil},
		{"a compiler on a small host", gcc, gccDrvs, 8 << 30, 100 << 30, bootstrap.ExitFailed, []string{"gcc-14.2.0, a-1"}},
		{"a compiler on a large host", gcc, gccDrvs, 32 << 30, 100 << 30, 0, nil},
		{"more than the disk has room for", fetching, nil, 8 << 30, 8 << 30, bootstrap.ExitFailed, []string{"8.8 GiB in /nix", "8.0 GiB free", "nix-collect-garbage", "--allow-build"}},
		{"a cache that is not there", "warning: unable to download 'https://c.example.org/nix-cache-info': Could not resolve host\n" + lot, lotDrvs, 8 << 30, 100 << 30, bootstrap.ExitUnreachable, []string{"could not be reached: https://c.example.org", "network"}},
		{"no network", "warning: you don't have Internet access; disabling some network-dependent features\n" + lot, lotDrvs, 8 << 30, 100 << 30, bootstrap.ExitUnreachable, []string{"every cache"}},
		{"a cache that is not trusted", "warning: ignoring untrusted substituter 'https://ann.example.org', you are not a trusted user.\n" + lot, lotDrvs, 8 << 30, 100 << 30, bootstrap.ExitConfig, []string{"not trusted: https://ann.example.org", nixConf, "extra-trusted-public-keys"}},
		{"a key that is not trusted", "warning: ignoring substitute for '/nix/store/x' from 'https://ann.example.org', as it's not signed by any of the keys in 'trusted-public-keys'\n" + lot, lotDrvs, 8 << 30, 100 << 30, bootstrap.ExitConfig, []string{"https://ann.example.org (its key"}},
		{"a flake's own cache", "warning: ignoring untrusted flake configuration setting 'extra-substituters'.\n" + lot, lotDrvs, 8 << 30, 100 << 30, bootstrap.ExitConfig, []string{"the flake's extra-substituters"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := costing(t, test.said, test.drvs)
			h.Space = test.space
			s := buildStep()
			s.f.RAM = test.ram
			err := apply(t, h, s)
			if test.code == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refuses(t, err, test.code, test.words...)
			if strings.Contains(strings.Join(h.Calls(), "\n"), "--out-link") {
				t.Errorf("it was built: %q", h.Calls())
			}
			s.c.AllowBuild = true
			h.Forget()
			if err := apply(t, h, s); err != nil || strings.Contains(strings.Join(h.Calls(), "\n"), "--dry-run") {
				t.Errorf("with --allow-build: %v, %q", err, h.Calls())
			}
		})
	}
}

func TestOlderNixCompilesInTmp(t *testing.T) {
	said, drvs := compiling("a-1")
	h := costing(t, said, drvs)
	old := storePath('e', "nix-2.26.3")
	h.Put(old+"/bin/nix", "nix")
	h.Put(theEnv+"/bin/nix", "-> "+old+"/bin/nix")
	h.Space = 1<<30 - 1
	refuses(t, apply(t, h, buildStep()), bootstrap.ExitFailed, "in /tmp", "1 program")
}
