package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/secret"
	"movein/steps"
)

// comesWith is the step that brings the vault, and the repository that it is in; "": it is
// in no clone of ours. A dotfiles repository that only the home repo names is brought after that.
func (s *session) comesWith() (step, url string) {
	vault := s.place().Given
	dotfiles, clone := s.config.DotfilesDir()
	home, cloneHome := s.config.HomeDir()
	switch {
	case clone && below(dotfiles, vault) && s.config.Dotfiles != "" && s.config.Dotfiles != "none":
		return steps.DotfilesStep, s.config.Dotfiles
	case clone && below(dotfiles, vault) && s.config.Dotfiles == "" && s.newHere():
		return steps.HomeStep, "your dotfiles"
	case cloneHome && below(home, vault):
		return steps.HomeStep, s.config.HomeRepo
	}
	return "", ""
}

func below(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && filepath.IsAbs(name) && rel != ".." && !strings.HasPrefix(rel, "../")
}

// comesLater reports whether the vault is not here yet, and with what it comes.
func (s *session) comesLater() (url string, later bool) {
	step, url := s.comesWith()
	if step == "" {
		return "", false
	}
	_, err := s.view.ReadHead(s.place().Given, 1)
	_, derr := s.view.ReadDir(s.place().Given)
	return url, err != nil && derr != nil
}

// laterSource is the vault once it is here. Who has its password is asked for that now, so
// that nobody has to be there then; whether it is right is seen when it is needed.
func (s *session) laterSource(ctx context.Context, url string) (secret.Source, error) {
	place := s.place()
	var pw *kdbx.Secret
	if !s.secrets.noPassword {
		err := s.sources(place.Given).Unlock(ctx, func(given kdbx.Secret) error {
			pw = &given
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex
	var from secret.Source
	return func(ctx context.Context, q secret.Question) (secret.Answer, error) {
		mu.Lock()
		defer mu.Unlock()
		if from == nil {
			if _, later := s.comesLater(); later {
				return secret.Answer{}, fmt.Errorf("%w: the vault %s comes with %s", secret.ErrNotYet, place.Given, withoutLogin(url))
			}
			var err error
			if from, err = s.openHere(ctx, pw); err != nil {
				return secret.Answer{}, err
			}
		}
		return from(ctx, q)
	}, nil
}

// openHere opens the vault with the password that is known.
func (s *session) openHere(ctx context.Context, pw *kdbx.Secret) (secret.Source, error) {
	found, err := s.place().Find(ctx)
	if err != nil {
		return nil, err
	}
	keyFile, err := s.file(s.secrets.keyFile)
	if err != nil {
		return nil, err
	}
	files, err := secret.Read(&s.view, found.File, keyFile)
	if err != nil {
		return nil, err
	}
	v, err := files.Open(ctx, pw)
	if err == nil {
		err = s.place().Remember(found)
	}
	if err != nil {
		return nil, err
	}
	return secret.OfVault(found.File, v), nil
}
