package embed

import "embed"

//go:embed units
var units embed.FS

// Unit is the text of a systemd unit, or of what does its work under another init,
// with placeholders of the form @name@. It panics for a name that is not there.
func Unit(name string) string {
	data, err := units.ReadFile("units/" + name)
	if err != nil {
		panic(err)
	}
	return string(data)
}
