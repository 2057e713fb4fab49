package cli

import "github.com/spf13/cobra"

func (a *app) pveWhoCanCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "who-can", Hidden: true}
}
