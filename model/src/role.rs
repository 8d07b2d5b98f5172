//! Roles of a guild.

use serde::Serialize;

use crate::{Permissions, RoleId, UserId};

/// A role. The one whose id is its guild's is `@everyone`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    pub id: RoleId,
    pub name: String,
    pub color: u32,
    pub colors: RoleColors,
    pub hoist: bool,
    pub icon: Option<String>,
    pub unicode_emoji: Option<String>,
    pub position: u32,
    pub permissions: Permissions,
    pub managed: bool,
    pub mentionable: bool,
    pub flags: u32,
    #[serde(skip_serializing_if = "RoleTags::is_empty")]
    pub tags: RoleTags,
}

/// Gradient colours; only the first is ever set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct RoleColors {
    pub primary_color: u32,
    pub secondary_color: Option<u32>,
    pub tertiary_color: Option<u32>,
}

/// Why a managed role exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct RoleTags {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<UserId>,
}

impl RoleTags {
    pub fn is_empty(&self) -> bool {
        self.bot_id.is_none()
    }
}

impl Role {
    pub fn new(id: RoleId, name: impl Into<String>, permissions: Permissions) -> Self {
        Self {
            id,
            name: name.into(),
            color: 0,
            colors: RoleColors::default(),
            hoist: false,
            icon: None,
            unicode_emoji: None,
            position: 0,
            permissions,
            managed: false,
            mentionable: false,
            flags: 0,
            tags: RoleTags::default(),
        }
    }

    /// Sets the colour in both fields that clients read.
    pub fn set_color(&mut self, color: u32) {
        self.color = color;
        self.colors.primary_color = color;
    }
}
