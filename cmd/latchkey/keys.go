package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey"
	"github.com/latchkey-auth/latchkey/internal/app"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List signing keys and where they stand in their life."`
	Rotate keysRotateCmd `cmd:"" help:"Create the next signing key: published at once, signing when every cache has it."`
	Import keysImportCmd `cmd:"" help:"Add a key from elsewhere (PEM or JWK): a private one signs next, a public one only verifies."`
	Export keysExportCmd `cmd:"" help:"Print the public key set (JWKS)."`

	SealMaster keysSealMasterCmd `cmd:"" help:"Seal the master key by a key of KMS, and print what LATCHKEY_MASTER_KEY takes in its place."`
}

// keyView is a key as people and machines may see it.
type keyView struct {
	ID        string             `json:"kid"`
	Algorithm latchkey.Algorithm `json:"alg"`
	State     keyring.State      `json:"state"`
	CreatedAt time.Time          `json:"created_at"`
	ActiveAt  time.Time          `json:"active_at"`
	RetiresAt *time.Time         `json:"retires_at"`
	ExpiresAt *time.Time         `json:"expires_at"`
}

func viewKey(k *keyring.Keyring, r keyring.Record) keyView {
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return keyView{r.ID, r.Algorithm, k.State(r), r.CreatedAt.UTC(), r.ActiveAt.UTC(), moment(r.RetiresAt), moment(r.ExpiresAt)}
}

type keysListCmd struct {
	JSON bool `help:"Print one JSON object per line."`
	dataFlags
}

func (c *keysListCmd) Run(ctx context.Context, p *process) error {
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	t := p.newTable(keysColumns)
	for _, r := range s.Keyring.Records(ctx) {
		v := viewKey(s.Keyring, r)
		if c.JSON {
			if err := printLine(p.stdout, v); err != nil {
				return err
			}
			continue
		}
		until := "-"
		if v.ExpiresAt != nil {
			until = v.ExpiresAt.Format(time.RFC3339)
		}
		from := v.ActiveAt.Format(time.RFC3339)
		if v.RetiresAt != nil && !v.RetiresAt.After(v.ActiveAt) {
			from = "-" // it never did, and will not
		}
		t.add(v.ID, string(v.Algorithm), string(v.State), from, until)
	}
	if c.JSON {
		return nil
	}
	return t.flush()
}

// keysColumns: no command takes a kid, so that a part of it is enough to tell keys
// apart.
var keysColumns = []column{{title: "KID", min: 8}, {title: "ALG"}, {title: "STATE"}, {title: "SIGNS FROM", yields: 1}, {title: "VERIFIES UNTIL"}}

type keysRotateCmd struct {
	Now    bool `help:"Sign with the new key at once. Verifiers that cached the old key set refuse its tokens until they fetch again."`
	Revoke bool `help:"For keys that may have leaked: like --now, and the old keys stop verifying at once. Tokens signed by them are refused; clients refresh or log in again."`
	Yes    bool `help:"Do not ask before --revoke."`
	JSON   bool `help:"Print JSON."`
	dataFlags
	tokenTTL
	signingFlags
}

func (c *keysRotateCmd) Run(ctx context.Context, p *process) error {
	cfg, err := c.config(p.logger())
	if err != nil {
		return err
	}
	cfg.AccessTokenTTL, cfg.SigningAlg = c.AccessTokenTTL, c.SigningAlg
	s, err := app.Open(ctx, cfg)
	if err != nil {
		return c.explain(err)
	}
	defer s.Close()
	how := rotation(c.Now)
	var old []string
	if c.Revoke {
		how = keyring.Revoking
		old = goodKeys(ctx, s.Keyring)
		question := fmt.Sprintf("Revoke %s (%s)? Every access token signed by them is refused at once.", count(len(old), "key"), strings.Join(old, ", "))
		if err := p.confirm(c.Yes, question); err != nil {
			return err
		}
	}
	r, err := s.Keyring.Rotate(ctx, s.NextAlgorithm(ctx), how)
	if errors.Is(err, keyring.ErrExists) {
		return errors.New("another process is rotating keys just now; see `latchkey keys list`")
	}
	if err != nil {
		return err
	}
	if err := p.showKey(s.Keyring, r, c.JSON); err != nil || c.JSON {
		return err
	}
	if c.Revoke {
		fmt.Fprintf(p.stdout, "revoked: %s; access tokens signed by them are refused within 10 s, sessions go on and refresh\n", strings.Join(old, ", "))
	}
	by := ""
	if how == keyring.Planned {
		by = ", before then"
	}
	_, err = fmt.Fprintf(p.stdout, "next: give the authorizer on Lambda, which holds a copy of the key set, what `latchkey keys export%s` prints%s\n", c.again(), by)
	return err
}

// goodKeys are the ids of those that sign or verify.
func goodKeys(ctx context.Context, k *keyring.Keyring) (ids []string) {
	for _, r := range k.Records(ctx) {
		if k.State(r) != keyring.Expired {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func rotation(now bool) keyring.Rotation {
	if now {
		return keyring.AtOnce
	}
	return keyring.Planned
}

func (p *process) showKey(k *keyring.Keyring, r keyring.Record, asJSON bool) error {
	v := viewKey(k, r)
	if asJSON {
		return printLine(p.stdout, v)
	}
	what := "signs from " + v.ActiveAt.Format(time.RFC3339) + " on"
	if len(r.Sealed) == 0 {
		what = "verifies"
		if v.ExpiresAt != nil {
			what += " until " + v.ExpiresAt.Format(time.RFC3339)
		}
	}
	_, err := fmt.Fprintf(p.stdout, "%s key %s is published and %s\n", v.Algorithm, v.ID, what)
	return err
}

type keysImportCmd struct {
	File      string        `arg:"" help:"File of the key, PEM or JWK; - is standard input."`
	Now       bool          `help:"Sign with a private key at once, see rotate."`
	VerifyFor time.Duration `help:"How long a public key verifies: as long as the last token that was signed by it lives (${default})." default:"336h" placeholder:"DURATION"`
	JSON      bool          `help:"Print JSON."`
	dataFlags
}

func (c *keysImportCmd) Run(ctx context.Context, p *process) error {
	doc, err := p.readInput(c.File)
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := s.Keyring.Import(ctx, doc, rotation(c.Now), time.Now().Add(c.VerifyFor))
	if errors.Is(err, keyring.ErrExists) {
		return errors.New("this key is here already; see `latchkey keys list`")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return p.showKey(s.Keyring, r, c.JSON)
}

type keysExportCmd struct {
	dataFlags
}

func (c *keysExportCmd) Run(ctx context.Context, p *process) error {
	s, err := c.open(ctx, p.logger())
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = fmt.Fprintf(p.stdout, "%s\n", s.Keyring.JWKS(ctx))
	return err
}
