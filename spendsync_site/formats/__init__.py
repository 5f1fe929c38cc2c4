"""How the site writes moments in every language: as the pages of the job queue do, with the zone."""
