package cli

import "github.com/spf13/cobra"

func (a *app) pveGuestsCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "guests", Hidden: true}
}
