package tfyp

import "slices"

// codes keeps the codes that the mail brings, in its order.
func (r *reader) codes() {
	empty := 0 // the line of a label with no code behind it
	for _, f := range r.found {
		switch {
		case f.mark != markCode:
		case f.value == "":
			empty = f.line
		case slices.Contains(r.out.Codes, f.value):
			r.hold(HeldAmbiguous, "the code in line %d appears twice", f.line)
		default:
			r.out.Codes = append(r.out.Codes, f.value)
		}
	}
	if empty > 0 && len(r.out.Codes) > 0 {
		r.hold(HeldAmbiguous, "line %d has no code, but another line does", empty)
	}
}

// eachCopy holds a mail with several codes that are not one for each copy.
func (r *reader) eachCopy() {
	copies := 0
	for _, o := range r.out.Orders {
		copies += o.Quantity
	}
	if n := len(r.out.Codes); n > 1 && n != copies {
		r.hold(HeldAmbiguous, "it has %d codes for %d copies", n, copies)
	}
}
