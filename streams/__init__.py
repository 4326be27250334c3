"""Pictures in: sources, decode policy, packet ring, clips, time stamps, test cameras."""
