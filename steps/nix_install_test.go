package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

var testSum = digest([]byte("tarball"))

func installConfig() *Config {
	c := testConfig()
	c.NixVersion, c.NixSHA256 = "2.34.7", testSum
	return c
}

// tarball is where the fetched release is.
func tarball(c *Config) string { return c.Cache() + "/nix-2.34.7-" + testSum[:12] + ".tar.xz" }

// putRelease makes what the release unpacks to below top.
func putRelease(h *hosttest.Host, top string) {
	h.Put(top+"/store/"+base(theNix)+"/bin/nix", "!0755 nix")
	h.Put(top+"/store/"+base(theNix)+"/bin/nix-daemon", "!0755 nix-daemon")
	h.Put(top+"/store/"+base(theCert)+"/certs", "certs")
}

func base(path string) string { return strings.TrimPrefix(path, nixStore+"/") }

// installHost is a host on which every program of an installation works.
func installHost(t *testing.T, have files) *hosttest.Host {
	c := installConfig()
	h := hosttest.New(t, with(files{tarball(c): "tarball", "/etc/group": "root:x:0:\n"}, have))
	h.OnDaemon = silent
	h.OnUnpack = func(archive, sum, dir string) error {
		if archive != tarball(c) || sum != testSum || dir != nixStaging {
			t.Errorf("unpacking %s (%s) into %s", archive, sum, dir)
		}
		putRelease(h, dir)
		h.Put(dir+"/.reginfo", regInfo(t, h, dir))
		return nil
	}
	return h
}

// regInfo is the .reginfo of the release that is unpacked in dir.
func regInfo(t *testing.T, h *hosttest.Host, dir string) string {
	var b strings.Builder
	for _, p := range []string{theNix, theCert} {
		hash, size, err := h.NarHash(context.Background(), dir+"/store/"+base(p))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n%s\n%d\n\n0\n", p, hash, size)
	}
	return b.String()
}

// scripted adds the commands of an installation, which do to the files what the real ones do.
func scripted(t *testing.T, h *hosttest.Host) *hosttest.Host {
	h.Put("/usr/bin/systemd-sysusers", "!0755 x")
	h.On("systemd-sysusers -", func(host.Cmd) (host.Result, error) {
		h.Put("/etc/group", "root:x:0:\nnixbld:x:30000:nixbld1\n")
		h.Put("/etc/passwd", buildPasswd)
		return host.Result{}, nil
	})
	h.On(theNix+"/bin/nix-store --load-db", func(c host.Cmd) (host.Result, error) {
		if _, err := host.ParseRegInfo(strings.NewReader(string(c.Stdin))); err != nil {
			t.Errorf("what is loaded: %v", err)
		}
		if text, err := h.ReadHead(nixDB+"/db.sqlite", 7); err == nil && string(text) != "SQLite " {
			return hosttest.Fails(1, "error: file is not a database")(c)
		}
		h.Put(nixDB+"/db.sqlite", "SQLite format 3\x00")
		h.Put(nixDB+"/schema", "10")
		return host.Result{}, nil
	})
	h.On(theNix+"/bin/nix-env --profile "+defaultProfile, func(host.Cmd) (host.Result, error) {
		h.Put(theEnv+"/bin/nix", "-> "+theNix+"/bin/nix")
		h.Put(defaultProfile+"-1-link", "-> "+theEnv)
		h.Put(defaultProfile, "-> default-1-link")
		return host.Result{}, nil
	})
	return h
}

func TestInstallMakesTheStoreAndRemembersIt(t *testing.T) {
	h := scripted(t, installHost(t, nil))
	s := nixInstall{testFacts(), installConfig()}
	converges(t, h, s)
	r := readReceipt(h.View())
	if r == nil || r.Nix != theNix || r.CACert != theCert || r.SHA256 != testSum || len(r.Paths) != 2 {
		t.Errorf("receipt: %+v", r)
	}
	h.Forget()
	nothingToDo(t, h, s)
}

func TestAStoreDirectoryThatWasMadeForAUserBecomesRoots(t *testing.T) {
	h := scripted(t, installHost(t, files{"/nix/": ""}))
	h.Owners["/nix"] = 1000
	converges(t, h, nixInstall{testFacts(), installConfig()})
	for _, dir := range []string{"/nix", nixStore, nixDB} {
		if uid, ok := owner(h, dir); uid != 0 || !ok {
			t.Errorf("%s belongs to %d", dir, uid)
		}
	}
}

func TestAHealthyNixIsNotTouched(t *testing.T) {
	h := hosttest.New(t, nixFiles())
	h.OnDaemon = answering
	nothingToDo(t, h, nixInstall{testFacts(), installConfig()})
}

func TestWhoLogsInAtAMirrorIsNotTold(t *testing.T) {
	h, c := scripted(t, installHost(t, nil)), installConfig()
	c.NixURL = "https://ann:hush@mirror.example.org/nix"
	_ = h.Remove(tarball(c))
	fetch := nixFetch{testFacts(), c}
	var from []string
	h.OnFetch = func(url, _, file string) error {
		from = append(from, url)
		h.Put(file, "tarball")
		return nil
	}
	for range 2 { // a repair fetches from there, too
		said := planned(t, h, fetch)
		if err := fetch.Apply(t.Context(), h, nil); err != nil {
			t.Fatal(err)
		}
		if err := (nixInstall{testFacts(), c}).Apply(t.Context(), h, nil); err != nil {
			t.Fatal(err)
		}
		if text := said + h.Text(receiptFile); strings.Contains(text, "hush") || !strings.Contains(text, "https://mirror.example.org/nix/") {
			t.Error(text)
		}
		_ = h.Remove(tarball(c))
		_ = h.Remove(theNix)
	}
	if len(from) != 2 || !strings.HasPrefix(from[0], c.NixURL) || from[1] != from[0] {
		t.Errorf("%q", from)
	}
}

func TestInstallGoesOnAfterAPowerCutAnywhere(t *testing.T) {
	survivesPowerCuts(t, func() *hosttest.Host { return scripted(t, installHost(t, nil)) }, nixInstall{testFacts(), installConfig()}, nil)
}

func TestAChangedStorePathIsPutRightAgain(t *testing.T) {
	h := scripted(t, installHost(t, nil))
	s := nixInstall{testFacts(), installConfig()}
	converges(t, h, s)
	h.Put(theNix+"/bin/nix-daemon", "!0755 something else")
	h.Put(nixStore+"/"+strings.Repeat("z", 32)+"-of-a-user/file", "precious")
	if got, want := planned(t, h, s), "restore "+theNix; got != want {
		t.Errorf("planned %q, want %q", got, want)
	}
	converges(t, h, s)
	if got := h.Text(theNix + "/bin/nix-daemon"); got != "nix-daemon" {
		t.Errorf("restored: %q", got)
	}
	if got := h.Text(nixStore + "/" + strings.Repeat("z", 32) + "-of-a-user/file"); got != "precious" {
		t.Errorf("another path: %q", got)
	}
}

func TestAPathThatWasOnlyTouchedIsHashedOnceAndNotRestored(t *testing.T) {
	h := scripted(t, installHost(t, nil))
	s := nixInstall{testFacts(), installConfig()}
	converges(t, h, s)
	h.Put(theNix+"/bin/nix-daemon", "!0755 nix-daemon") // another inode, the same content
	nothingToDo(t, h, s)
	if !strings.Contains(string(h.Recall("nix-stamps")), theNix) {
		t.Error("that it is right is not remembered")
	}
}

func TestADatabaseThatCannotBeReadIsKept(t *testing.T) {
	h := scripted(t, installHost(t, nil))
	s := nixInstall{testFacts(), installConfig()}
	converges(t, h, s)
	h.Put(nixDB+"/db.sqlite", "garbage garbage garbage")
	converges(t, h, s)
	if !strings.Contains(h.Tree("/nix/var/nix"), `db.sqlite "garbage garbage garbage"`) {
		t.Errorf("the old database is gone:\n%s", h.Tree("/nix/var/nix"))
	}
	if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, nixDB+".movein-broken-") {
		t.Errorf("nobody was told: %q", w)
	}
}

func TestAHealthyDatabaseIsNotSetAsideWhenLoadingFails(t *testing.T) {
	h := installHost(t, with(nixFiles(), files{receiptFile: `{"version": "2.34.7", "sha256": "` + testSum + `", "nix": "` + theNix + `", "paths": [{"path": "` + theCert + `"}]}`}))
	h.On(theNix+"/bin/nix-store --load-db", hosttest.Fails(1, "error: writing to file: No space left on device"))
	err := apply(t, h, nixInstall{testFacts(), installConfig()})
	if err == nil {
		t.Error("no error")
	}
	if got := h.Text(nixDB + "/db.sqlite"); got != "SQLite format 3\x00" {
		t.Errorf("the database is now %q", got)
	}
}

func TestAReleaseThatIsNotAsItSaysIsNotUsed(t *testing.T) {
	h := installHost(t, nil)
	unpack := h.OnUnpack
	h.OnUnpack = func(archive, sum, dir string) error {
		err := unpack(archive, sum, dir)
		h.Put(dir+"/store/"+base(theNix)+"/bin/nix", "!0755 another")
		return err
	}
	h.Put("/usr/bin/systemd-sysusers", "!0755 x")
	h.On("systemd-sysusers -", func(host.Cmd) (host.Result, error) {
		h.Put("/etc/group", "nixbld:x:30000:nixbld1\n")
		h.Put("/etc/passwd", buildPasswd)
		return host.Result{}, nil
	})
	err := apply(t, h, nixInstall{testFacts(), installConfig()})
	if _, ok := errors.AsType[*host.DigestError](err); !ok || bootstrap.ExitCode(err) != bootstrap.ExitDigest {
		t.Errorf("error: %v", err)
	}
	if exists(h, theNix) {
		t.Error("it is in the store all the same")
	}
}

func TestAFullOrReadOnlyDiskIsExplained(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EROFS} {
		h := installHost(t, nil)
		h.Fail = denied("mkdir", "/nix", cause)
		refuses(t, apply(t, h, nixInstall{testFacts(), installConfig()}), bootstrap.ExitFailed, "/nix", cause.Error())
	}
}

func TestAManagedProfileIsLeftToNixProfile(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{theEnv + "/manifest.json": "{}", "/etc/group": ""}))
	h.OnDaemon = answering
	h.Put("/usr/bin/systemd-sysusers", "!0755 x")
	h.On("systemd-sysusers -", func(host.Cmd) (host.Result, error) {
		h.Put("/etc/group", "nixbld:x:30000:nixbld1\n")
		h.Put("/etc/passwd", buildPasswd)
		return host.Result{}, nil
	})
	converges(t, h, nixInstall{testFacts(), installConfig()}) // nix-env would be unexpected
}

func TestAManagedProfileWithoutNixIsRefused(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{theEnv + "/manifest.json": "{}"}))
	h.OnDaemon = answering
	_ = h.Remove(theEnv + "/bin/nix")
	refuses(t, apply(t, h, nixInstall{testFacts(), installConfig()}), bootstrap.ExitRefused, defaultProfile, "nix profile", "profile install --profile "+defaultProfile+" "+theNix)
}

func TestBuildUsersTakeFreeIDs(t *testing.T) {
	h := hosttest.New(t, files{"/etc/group": "wsl:x:30000:\n", "/etc/passwd": "other:x:30001:1::/:/bin/sh\n", "/usr/sbin/nologin": "!0755 x"})
	text := sysusers(h)
	for _, want := range []string{"g nixbld -\n", "u nixbld1 -:nixbld ", "u nixbld2 30002:nixbld ", "m nixbld32 nixbld\n", "/usr/sbin/nologin"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func TestBuildUsersAreMadeWithTheToolsThatAreThere(t *testing.T) {
	for _, test := range []struct {
		name  string
		tools []string
		want  []string
	}{
		{"shadow", []string{"groupadd", "useradd"}, []string{"run groupadd --system --gid 30000 nixbld", "run useradd", "run useradd"}},
		{"busybox", []string{"addgroup", "adduser"}, []string{"run addgroup -S nixbld", "run adduser -S", "run adduser -S"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := hosttest.New(t, files{"/etc/group": "root:x:0:\n"})
			for _, tool := range test.tools {
				h.Put("/usr/sbin/"+tool, "!0755 x")
				h.On(tool+" ", hosttest.Says(""))
			}
			if err := (nixInstall{testFacts(), installConfig()}).users(context.Background(), h); err != nil {
				t.Fatal(err)
			}
			inOrder(t, h.Calls(), test.want...)
			if n := len(h.Calls()); n != 1+buildUsers {
				t.Errorf("%d commands", n)
			}
		})
	}
}

func TestTakenIDsAreNotInsistedOn(t *testing.T) {
	h := hosttest.New(t, files{"/etc/group": "", "/usr/sbin/groupadd": "!0755 x", "/usr/sbin/useradd": "!0755 x"})
	h.On("groupadd --system --gid 30000", hosttest.Fails(4, "GID '30000' already exists"))
	h.On("groupadd --system nixbld", hosttest.Says(""))
	h.On("useradd", func(c host.Cmd) (host.Result, error) {
		if strings.Contains(strings.Join(c.Args, " "), "--uid") {
			return hosttest.Fails(4, "UID already exists")(c)
		}
		return host.Result{}, nil
	})
	if err := (nixInstall{testFacts(), installConfig()}).users(context.Background(), h); err != nil {
		t.Error(err)
	}
}

func TestTheDistributionsNixIsTakenWhenNoReleaseWasFetched(t *testing.T) {
	h := hosttest.New(t, files{"/etc/group": "nixbld:x:966:nixbld1\n", "/etc/passwd": buildPasswd})
	h.On("apt-get update", hosttest.Fails(100, "some mirror is away"))
	h.On("apt-get install", func(c host.Cmd) (host.Result, error) {
		if last := c.Args[len(c.Args)-1]; last != "nix-setup-systemd" {
			t.Errorf("last package: %s", last)
		}
		h.Put("/usr/bin/nix", "!0755 nix")
		return host.Result{}, nil
	})
	h.OnQuery("/usr/bin/nix --version", hosttest.Says("nix (Nix) 2.26.3\n"))
	converges(t, h, nixInstall{testFacts(), installConfig()})
}

func TestADistributionsNixThatIsTooOldIsRefused(t *testing.T) {
	h := hosttest.New(t, files{"/etc/group": "nixbld:x:966:nixbld1\n", "/etc/passwd": buildPasswd})
	h.On("apt-get", func(host.Cmd) (host.Result, error) {
		h.Put("/usr/bin/nix", "!0755 nix")
		return host.Result{}, nil
	})
	h.OnQuery("/usr/bin/nix --version", hosttest.Says("nix (Nix) 2.3.16\n"))
	refuses(t, apply(t, h, nixInstall{testFacts(), installConfig()}), bootstrap.ExitConfig, "2.3.16", minNix, "--nix-url")
}

func TestNoReleaseAndNoPackageIsAnErrorWithANextCommand(t *testing.T) {
	f := testFacts()
	f.Packages = "unknown"
	h := hosttest.New(t, nil)
	refuses(t, apply(t, h, nixInstall{f, installConfig()}), bootstrap.ExitFailed, "no release was fetched", "--nix-url")
}

func TestNixOSIsSkipped(t *testing.T) {
	f := testFacts()
	f.Platform = distro.NixOS
	c := testConfig()
	h := hosttest.New(t, files{"/run/current-system/sw/bin/nix": "-> " + theNix + "/bin/nix", theNix + "/bin/nix": "nix"})
	skips(t, h, nixInstall{f, c})
	skips(t, h, nixConfig{f, c})
	skips(t, h, nixDaemon{f, c})
}

func TestAnUnknownReleaseIsAskedForItsDigest(t *testing.T) {
	c := testConfig()
	c.NixVersion = "9.9.9"
	_, err := plan(t, hosttest.New(t, nil), nixFetch{testFacts(), c})
	if bootstrap.ExitCode(err) != bootstrap.ExitConfig || !strings.Contains(err.Error(), "--nix-sha256") {
		t.Errorf("%d: %v", bootstrap.ExitCode(err), err)
	}
}

func TestFetchIsSkippedForTheDistributionsPackageWhenTheServerIsAway(t *testing.T) {
	h := hosttest.New(t, nil)
	h.OnFetch = func(url, _, _ string) error {
		return &host.UnreachableError{URL: url, Err: errors.New("no route to host")}
	}
	_, skipped := errors.AsType[bootstrap.Skip](apply(t, h, nixFetch{testFacts(), installConfig()}))
	if !skipped {
		t.Error("no Skip")
	}
	c := installConfig()
	c.NixSource = "official"
	refuses(t, apply(t, h, nixFetch{testFacts(), c}), bootstrap.ExitUnreachable, "no route to host", "--nix-url")
}

func TestAFetchedReleaseOrAHealthyNixIsNotFetchedAgain(t *testing.T) {
	c := installConfig()
	nothingToDo(t, hosttest.New(t, files{tarball(c): "tarball"}), nixFetch{testFacts(), c})
	h := hosttest.New(t, nixFiles())
	h.OnDaemon = answering
	nothingToDo(t, h, nixFetch{testFacts(), c})
}

func TestFetchPutsTheReleaseIntoTheUsersCache(t *testing.T) {
	c := installConfig()
	h := hosttest.New(t, nil)
	h.OnFetch = func(url, sum, file string) error {
		if url != officialURL+"/nix-2.34.7/nix-2.34.7-x86_64-linux.tar.xz" || sum != testSum {
			t.Errorf("fetching %s %s", url, sum)
		}
		h.Put(file, "tarball")
		return nil
	}
	converges(t, h, nixFetch{testFacts(), c})
}
