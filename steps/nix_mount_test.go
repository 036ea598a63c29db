package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

// fedoraRootConf is what Fedora's images say about their root.
const fedoraRootConf = "[sysroot]\nreadonly = true\n[composefs]\nenabled = yes\n"

// An atomic is an ostree host whose deployments, initramfs and units do what the real
// ones do about /nix; testdata/lab/kinoite has the real ones.
type atomic struct {
	*hosttest.Host
	facts     *distro.Facts
	list      []deployment
	initramfs map[string]string // the prepare-root.conf in a deployment's initramfs, by id
	libostree string
	boots     int
	deaf      bool // nothing in /etc/ostree has an effect
}

// atomicHost is a host with the file tree testdata/host/TREE.
func atomicHost(t *testing.T, tree string, more files) *atomic {
	t.Helper()
	all, dir := files{}, "../testdata/host/"+tree
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		all[strings.TrimPrefix(name, dir)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &atomic{libostree: "2025.6", initramfs: map[string]string{}, boots: 1,
		list: []deployment{{ID: "fedora-aaa.0", Version: "43.1", Booted: true}}}
	f, err := distro.Detect(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	a.facts = &f
	a.facts.System, a.facts.Arch = "x86_64-linux", "amd64"
	if a.facts.Composefs {
		all[vendorRootConf] = fedoraRootConf
	}
	for _, tool := range []string{"rpm-ostree", "ostree", "systemctl", "unshare"} {
		all["/usr/bin/"+tool] = "!0755 "
	}
	a.Host = hosttest.New(t, with(all, more))
	a.Lax = true
	a.On("systemctl daemon-reload", hosttest.Says(""))
	a.On("systemctl enable --quiet "+mountUnit, func(host.Cmd) (host.Result, error) {
		a.Put(unitDir+"/"+mountTarget+".wants/"+mountUnit, "-> ../"+mountUnit)
		return host.Result{}, nil
	})
	a.On("systemctl start "+mountUnit, func(host.Cmd) (host.Result, error) {
		a.mount()
		return host.Result{}, nil
	})
	a.On("unshare --mount", func(c host.Cmd) (host.Result, error) {
		if a.facts.Composefs && !strings.Contains(mountedOn(a, "/"), "upperdir=") {
			return hosttest.Fails(1, "mkdir: cannot create directory '/nix': Read-only file system")(c)
		}
		a.Put("/nix/", "")
		return host.Result{}, nil
	})
	a.OnQuery("ostree --version", func(host.Cmd) (host.Result, error) {
		return host.Result{Stdout: []byte("libostree:\n Version: '" + a.libostree + "'\n Git: v\n")}, nil
	})
	a.OnQuery("rpm-ostree status --json", func(host.Cmd) (host.Result, error) {
		data, err := json.Marshal(map[string]any{"deployments": a.list})
		return host.Result{Stdout: data}, err
	})
	a.On("rpm-ostree initramfs-etc", a.stage)
	a.On("ostree admin pin", func(c host.Cmd) (host.Result, error) {
		i, err := strconv.Atoi(c.Args[len(c.Args)-1])
		if err == nil {
			a.list[i].Pinned = c.Args[3] != "--unpin"
		}
		return host.Result{}, err
	})
	return a
}

// stage makes a deployment with ownRootConf in its initramfs.
func (a *atomic) stage(c host.Cmd) (host.Result, error) {
	base, tracked := a.list[0], c.Args[2] == "--track="+ownRootConf
	if tracked == base.tracks() {
		return host.Result{Stdout: []byte("No changes.\n")}, nil
	}
	d := deployment{ID: fmt.Sprintf("fedora-aaa.%d", len(a.initramfs)+1), Version: base.Version, Tracked: []string{ownRootConf}}
	a.initramfs[d.ID] = a.Text(ownRootConf)
	a.list = append([]deployment{d}, slices.DeleteFunc(a.list, func(d deployment) bool { return !d.Booted && !d.Pinned })...)
	return host.Result{}, nil
}

// reboot boots the i-th deployment.
func (a *atomic) reboot(i int) {
	a.boots++
	a.Boot = fmt.Sprintf("boot-%d", a.boots)
	for n := range a.list {
		a.list[n].Booted = n == i
	}
	var lines []string
	root := parseKeyFile(a.initramfs[a.list[i].ID])["root"]
	understood := root[keyTransient] == "true" || root[keyTransientRO] == "true" && !older(a.libostree, sinceTransientRO)
	for line := range strings.Lines(a.Text("/proc/self/mountinfo")) {
		if f := strings.Fields(line); f[4] == "/" {
			line, _, _ = strings.Cut(line, ",upperdir=")
			line = strings.TrimRight(line, "\n") + "\n"
			if understood && !a.deaf {
				line = strings.TrimRight(line, "\n") + ",upperdir=/run/ostree/.private/root/upper\n"
			}
		} else if f[4] == "/nix" {
			continue
		}
		lines = append(lines, line)
	}
	a.Put("/proc/self/mountinfo", strings.Join(lines, ""))
	os.Remove(a.Real("/nix"))
	if enabled(a, mountUnit, mountTarget) && strings.Contains(mountedOn(a, "/"), "upperdir=") {
		a.mount()
	}
}

func (a *atomic) mount() {
	a.Put("/nix/", "")
	a.Put("/proc/self/mountinfo", a.Text("/proc/self/mountinfo")+"200 79 0:34 /root/ostree/deploy/fedora"+storeHome(a)+" /nix rw,relatime shared:9 - btrfs /dev/nvme0n1p3 rw\n")
}

func (a *atomic) step() nixMount { return nixMount{a.facts, testConfig()} }

// asks applies, and fails the test unless that asks for a reboot for that reason.
func (a *atomic) asks(t *testing.T, why string) {
	t.Helper()
	err := apply(t, a.Host, a.step())
	if _, ok := errors.AsType[bootstrap.Reboot](err); !ok || !strings.Contains(err.Error(), why) || !strings.Contains(bootstrap.HintOf(err), "movein apply --reboot") {
		t.Fatalf("asks for no reboot because %q: %v (%s)", why, err, bootstrap.HintOf(err))
	}
}

const roomAtNextBoot = "the root gets room for /nix at the next boot"

func TestAHostWithRoomForNixNeedsNoMount(t *testing.T) {
	skips(t, hosttest.New(t, nil), nixMount{testFacts(), testConfig()})
}

func TestASealedRootGetsALayerAtTheNextBoot(t *testing.T) {
	for _, tree := range []string{"kinoite-43", "silverblue-43", "bluefin-42"} {
		a := atomicHost(t, tree, nil)
		want := "write " + unitDir + "/" + directoryUnit + "; write " + unitDir + "/" + mountUnit + "; enable " + mountUnit +
			"; write " + ownRootConf + "; pin deployment 43.1; run rpm-ostree initramfs-etc; reboot into the new deployment"
		if got := planned(t, a.Host, a.step()); got != want {
			t.Errorf("%s: planned\n%s, want\n%s", tree, got, want)
		}
		a.asks(t, roomAtNextBoot)
		if conf := a.Text(ownRootConf); !strings.Contains(conf, fedoraRootConf) || !strings.HasSuffix(conf, "\n[root]\ntransient-ro = true\n") {
			t.Errorf("%s: %s", ownRootConf, conf)
		}
		if !a.list[1].Pinned || !a.list[1].Booted {
			t.Errorf("the deployment that runs is not kept: %+v", a.list)
		}
		a.reboot(0)
		converges(t, a.Host, a.step())
		if slices.ContainsFunc(a.list, func(d deployment) bool { return d.Pinned }) {
			t.Errorf("a deployment is still kept: %+v", a.list)
		}
		a.Forget()
		nothingToDo(t, a.Host, a.step())
		a.reboot(0)
		nothingToDo(t, a.Host, a.step())
	}
}

func TestUnitsAreFilesThatNameThePlaceBelowVar(t *testing.T) {
	a := atomicHost(t, "kinoite-43", files{"/var/home/nix/store/x": ""}) // another installer's
	a.asks(t, roomAtNextBoot)
	if tree := a.Tree(unitDir+"/"+mountUnit, unitDir+"/"+directoryUnit); strings.Contains(tree, " -> ") {
		t.Errorf("links:\n%s", tree)
	}
	if unit := a.Text(unitDir + "/" + mountUnit); !strings.Contains(unit, "What=/var/home/nix\n") || strings.Contains(unit, "RequiredBy") {
		t.Errorf("%s", unit)
	}
	if unit := a.Text(unitDir + "/" + directoryUnit); !strings.Contains(unit, "r=$$?") || strings.Contains(unit, "@") {
		t.Errorf("%s", unit)
	}
}

func TestAnImageThatHasNixOnlyNeedsTheMount(t *testing.T) {
	for _, tree := range []string{"kinoite-43", "opensuse-microos"} {
		a := atomicHost(t, tree, files{"/nix/": ""})
		converges(t, a.Host, a.step())
		if a.initramfs["fedora-aaa.1"] != "" || len(a.list) != 1 {
			t.Errorf("%s: a deployment was made", tree)
		}
	}
}

func TestARootWithoutComposefsTakesNixAtOnce(t *testing.T) {
	a := atomicHost(t, "kinoite-41", nil)
	converges(t, a.Host, a.step())
	inOrder(t, a.Calls(), "run unshare --mount", "run systemctl start "+mountUnit)
}

func TestAnOldLibostreeIsAskedForTheOlderKey(t *testing.T) {
	a := atomicHost(t, "bluefin-42", nil)
	a.libostree = "2025.2"
	a.asks(t, roomAtNextBoot)
	if conf := a.Text(ownRootConf); !strings.HasSuffix(conf, "\n[root]\ntransient = true\n") {
		t.Errorf("%s", conf)
	}
	a.reboot(0)
	converges(t, a.Host, a.step())
}

func TestASettingThatHasNoEffectIsTriedTheOtherWayAndThenExplained(t *testing.T) {
	a := atomicHost(t, "kinoite-43", nil)
	a.deaf = true
	a.asks(t, roomAtNextBoot)
	a.reboot(0)
	a.asks(t, "by [root] transient")
	if conf := a.initramfs[a.list[0].ID]; !strings.HasSuffix(conf, "[root]\ntransient = true\n") {
		t.Errorf("in the initramfs is %s", conf)
	}
	a.reboot(0)
	before := a.Tree("/etc", "/var")
	_, err := plan(t, a.Host, a.step())
	refuses(t, err, bootstrap.ExitConfig, "took no notice", "is in its initramfs", "2025.6", "lowerdir", "--untrack="+ownRootConf, "podman build")
	if a.Tree("/etc", "/var") != before {
		t.Error("something was changed")
	}
}

func TestADeploymentThatWasNotChosenIsAskedForAgain(t *testing.T) {
	a := atomicHost(t, "kinoite-43", nil)
	a.asks(t, roomAtNextBoot)
	a.reboot(1) // the older entry of the boot menu
	staged := len(a.initramfs)
	a.asks(t, "another one runs")
	if len(a.initramfs) != staged {
		t.Error("one more was staged")
	}
	a.reboot(0)
	converges(t, a.Host, a.step())
}

func TestWhatWasStagedAndIsGoneIsStagedAgain(t *testing.T) {
	a := atomicHost(t, "kinoite-43", nil)
	a.asks(t, roomAtNextBoot)
	a.list = a.list[1:] // a power cut: staged deployments are in /run
	a.reboot(0)
	a.asks(t, "is gone (journalctl")
	a.reboot(0)
	converges(t, a.Host, a.step())
}

func TestAnUpgradeAndARollbackKeepTheMount(t *testing.T) {
	a := atomicHost(t, "kinoite-43", nil)
	a.asks(t, roomAtNextBoot)
	a.reboot(0)
	converges(t, a.Host, a.step())
	conf := a.initramfs[a.list[0].ID]
	a.list = append([]deployment{{ID: "fedora-bbb.0", Version: "43.2", Tracked: []string{ownRootConf}}}, a.list...)
	a.initramfs["fedora-bbb.0"] = conf
	a.reboot(0)
	nothingToDo(t, a.Host, a.step())
	a.reboot(1)
	nothingToDo(t, a.Host, a.step())
	a.reboot(2) // from before all that: no layer
	a.asks(t, roomAtNextBoot)
}

func TestDamageToTheMountIsRepaired(t *testing.T) {
	for name, damage := range map[string]func(a *atomic){
		"unit edited":   func(a *atomic) { a.Put(unitDir+"/"+mountUnit, a.Text(unitDir+"/"+mountUnit)+"# mine\n") },
		"unit deleted":  func(a *atomic) { os.Remove(a.Real(unitDir + "/" + directoryUnit)) },
		"unit masked":   func(a *atomic) { a.Put(unitDir+"/"+mountUnit, "-> /dev/null") },
		"unit disabled": func(a *atomic) { os.Remove(a.Real(unitDir + "/" + mountTarget + ".wants/" + mountUnit)) },
		"conf edited": func(a *atomic) {
			a.Put(ownRootConf, strings.ReplaceAll(a.Text(ownRootConf), "transient-ro", "transient"))
		},
		"conf of a newer image": func(a *atomic) { a.Put(vendorRootConf, fedoraRootConf+"keypath = /etc/key\n") },
	} {
		a := atomicHost(t, "kinoite-43", nil)
		a.asks(t, roomAtNextBoot)
		a.reboot(0)
		converges(t, a.Host, a.step())
		damage(a)
		t.Run(name, func(t *testing.T) {
			converges(t, a.Host, a.step())
			a.reboot(0)
			if mountedOn(a, "/nix") == "" || a.initramfs[a.list[0].ID] != a.Text(ownRootConf) || !strings.HasSuffix(a.Text(ownRootConf), "[root]\ntransient-ro = true\n") {
				t.Error("the next boot has no /nix")
			}
		})
	}
}

func TestWhatCannotHaveNixIsToldHowAndNothingIsChanged(t *testing.T) {
	for name, c := range map[string]struct {
		tree  string
		setup func(a *atomic)
		code  int
		words []string
	}{
		"no rpm-ostree":       {"kinoite-43", func(a *atomic) { os.Remove(a.Real("/usr/bin/rpm-ostree")) }, 78, []string{"no rpm-ostree", "FROM quay.io/fedora-ostree-desktops/kinoite:43\\nRUN mkdir /nix"}},
		"no ostree":           {"bluefin-42", func(a *atomic) { a.facts.OSTree = false }, 78, []string{"no rpm-ostree", "FROM IMAGE\\nRUN mkdir /nix"}},
		"foreign file":        {"kinoite-43", func(a *atomic) { a.Put(ownRootConf, "[composefs]\nenabled = yes\n") }, 73, []string{ownRootConf + " is not movein's", "transient-ro = true", "podman"}},
		"no file of an image": {"kinoite-43", func(a *atomic) { os.Remove(a.Real(vendorRootConf)) }, 78, []string{"prepare-root.conf", "podman"}},
		"no composefs there":  {"kinoite-43", func(a *atomic) { a.Put(vendorRootConf, "[sysroot]\nreadonly = true\n") }, 78, []string{"turn it off"}},
		"a section of its own": {"kinoite-43", func(a *atomic) { a.Put(vendorRootConf, fedoraRootConf+"[root]\ntransient = false\n") }, 78,
			[]string{"[root] of its own"}},
		"a link": {"kinoite-43", func(a *atomic) { a.Put("/nix", "-> /var/lib/nix") }, 73, []string{"/nix is a link to /var/lib/nix"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := atomicHost(t, c.tree, nil)
			c.setup(a)
			_, err := plan(t, a.Host, a.step())
			refuses(t, err, c.code, c.words...)
		})
	}
	a := atomicHost(t, "opensuse-microos", nil)
	a.On("unshare --mount", hosttest.Fails(1, "Read-only file system"))
	before := a.Tree("/etc", "/var", "/usr")
	refuses(t, apply(t, a.Host, a.step()), bootstrap.ExitConfig, "Read-only", "transactional-update run mkdir /nix")
	if a.Tree("/etc", "/var", "/usr") != before {
		t.Error("something was changed")
	}
}

func TestAMountOfSomebodyElsesIsLeftAlone(t *testing.T) {
	a := atomicHost(t, "kinoite-43", files{unitDir + "/" + mountUnit: "[Mount]\nWhat=/var/home/nix\nWhere=/nix\n"})
	a.mount()
	skips(t, a.Host, a.step())
}

func TestAMountUnitOfSomebodyElsesThatMountsNothingIsKeptAsACopy(t *testing.T) {
	a := atomicHost(t, "kinoite-43", files{unitDir + "/" + mountUnit: "[Mount]\nWhat=/var/home/nix\nWhere=/nix\n"})
	a.asks(t, roomAtNextBoot)
	if !strings.Contains(strings.Join(a.Warnings(), "\n"), "what was in "+unitDir+"/"+mountUnit+" is kept as "+rootBackups) {
		t.Errorf("%q", a.Warnings())
	}
}

func TestTheMountSurvivesPowerCuts(t *testing.T) {
	var a *atomic
	survives := func(n int) (done bool) {
		a = atomicHost(t, "kinoite-43", nil)
		left := n
		a.Fail = func(op, _ string) error {
			if strings.HasPrefix(op, "read") || op == "lstat" {
				return nil
			}
			if left--; left < 0 {
				return errors.New("power cut")
			}
			return nil
		}
		err := a.step().Apply(context.Background(), a.Host, nil)
		_, done = errors.AsType[bootstrap.Reboot](err)
		a.Fail = nil
		a.list = slices.DeleteFunc(a.list, func(d deployment) bool { return !d.Booted }) // staged ones are in /run
		a.reboot(0)
		for range 3 {
			if err := apply(t, a.Host, a.step()); err == nil {
				break
			} else if _, ok := errors.AsType[bootstrap.Reboot](err); !ok {
				t.Fatalf("after a cut at change %d: %v", n, err)
			}
			a.reboot(0)
		}
		if left := planned(t, a.Host, a.step()); left != "" || mountedOn(a, "/nix") == "" {
			t.Fatalf("left after a cut at change %d: %s", n, left)
		}
		if slices.ContainsFunc(a.list, func(d deployment) bool { return d.Pinned }) {
			t.Errorf("after a cut at change %d a deployment is kept for ever: %+v", n, a.list)
		}
		return done
	}
	for n := 0; !survives(n); n++ {
	}
}

func TestWhoIsToldThatOstreeFailsIsToldWhereToLook(t *testing.T) {
	for _, command := range []string{"ostree --version", "rpm-ostree status --json", "ostree admin pin", "systemctl enable --quiet " + mountUnit} {
		a := atomicHost(t, "kinoite-43", nil)
		a.On(command, hosttest.Fails(1, "error: busy"))
		a.OnQuery(command, hosttest.Fails(1, "error: busy"))
		refuses(t, apply(t, a.Host, a.step()), bootstrap.ExitFailed, "look with: ")
	}
}
